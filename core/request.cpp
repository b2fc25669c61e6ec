#include "core/request.hpp"

#include <sodium.h>

#include <cstddef>

namespace parley {
namespace {

using Digest = std::array<unsigned char, 16>;
static_assert(Digest{}.size() >= crypto_generichash_BYTES_MIN);

void put_big_endian(std::uint64_t value, unsigned char* to) {
  for (unsigned i = 0; i < 8; ++i) to[i] = static_cast<unsigned char>(value >> (56 - 8 * i));
}

/// BLAKE2b with an output of 16 bytes, over parts that cannot run into each other.
class Hash {
 public:
  Hash() { crypto_generichash_init(&state_, nullptr, 0, Digest{}.size()); }
  Hash& raw(std::string_view bytes) {
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
    return *this;
  }
  Hash& number(std::uint64_t value) {
    std::array<unsigned char, 8> bytes{};
    put_big_endian(value, bytes.data());
    crypto_generichash_update(&state_, bytes.data(), bytes.size());
    return *this;
  }
  /// With its length in front.
  Hash& text(std::string_view bytes) { return number(bytes.size()).raw(bytes); }
  Digest finish() {
    Digest digest{};
    crypto_generichash_final(&state_, digest.data(), digest.size());
    return digest;
  }

 private:
  crypto_generichash_state state_;
};

}  // namespace

RequestKey request_key_of_id(std::string_view id) {
  return Hash{}.raw(std::string_view{"id\0", 3}).raw(id).finish();
}

RequestKey request_key_of_origin(std::uint64_t spool_id, IngestNo ingest_no) {
  RequestKey key{};
  put_big_endian(spool_id, key.data());
  put_big_endian(ingest_no, key.data() + 8);
  return key;
}

RequestHash request_hash(const Content& content, std::uint32_t ttl_s) {
  Hash hash;
  hash.text(content.kind).text(content.text).text(content.body).text(content.content_type);
  hash.number(content.reply_to);
  hash.number(content.mentions.size());
  for (const std::string& name : content.mentions) hash.text(name);
  hash.number(content.attachments.size());
  for (const Attachment& attachment : content.attachments) {
    hash.text(attachment.name).text(attachment.content_type).number(attachment.size);
    hash.text(attachment.url).text(attachment.sha256);
    hash.number(attachment.width).number(attachment.height).number(attachment.duration_ms);
    hash.text(attachment.preview);
  }
  return hash.number(ttl_s).finish();
}

}  // namespace parley
