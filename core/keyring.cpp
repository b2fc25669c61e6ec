#include "core/keyring.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace parley {
namespace {

constexpr std::size_t file_bytes_max = 64 * 1024;  // 255 lines are a third of it
constexpr std::size_t fields_per_line = 5;

using Fields = std::array<std::string_view, fields_per_line>;

/// The fields of a line, separated by blanks. Nothing if there are fewer or more.
bool split_fields(std::string_view line, Fields& into) {
  constexpr std::string_view blanks = " \t\r";
  std::size_t count = 0;
  for (std::size_t at = line.find_first_not_of(blanks); at != std::string_view::npos; ++count) {
    if (count == into.size()) return false;
    const std::size_t end = std::min(line.find_first_of(blanks, at), line.size());
    into[count] = line.substr(at, end - at);
    at = line.find_first_not_of(blanks, end);
  }
  return count == into.size();
}

template <class Int>
bool parse_number(std::string_view text, Int& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_secret(std::string_view hex, Secret& into) {
  std::size_t bytes = 0;
  return hex.size() == 2 * secret_bytes &&
         sodium_hex2bin(into.data(), into.size(), hex.data(), hex.size(), nullptr, &bytes,
                        nullptr) == 0 &&
         bytes == secret_bytes;
}

/// One line of a key file. The errors never quote it: it holds a secret.
Result<Key, std::string> parse_key(std::string_view line) {
  Fields fields;
  if (!split_fields(line, fields)) {
    return failed(
        std::string{"expected: <id> <64 hex digits|-> <user|service> <active|retired> "
                    "<created, unix s>"});
  }
  Key key;
  if (!parse_number(fields[0], key.key_id) || key.key_id == 0) {
    return failed(std::string{"the key id is not a number from 1 to 255"});
  }
  if (fields[2] != "user" && fields[2] != "service") {
    return failed(std::string{"the third field is neither \"user\" nor \"service\""});
  }
  key.service = fields[2] == "service";
  if (fields[3] != "active" && fields[3] != "retired") {
    return failed(std::string{"the fourth field is neither \"active\" nor \"retired\""});
  }
  key.retired = fields[3] == "retired";
  if (key.retired && fields[1] != "-") {
    return failed(std::string{"a retired key must have \"-\" instead of its secret"});
  }
  if (!key.retired && !parse_secret(fields[1], key.secret)) {
    return failed(std::string{"the secret of an active key is not 64 hex digits"});
  }
  if (!parse_number(fields[4], key.created_at_s) || key.created_at_s < 0) {
    return failed(std::string{"the time of creation is not unix seconds"});
  }
  return key;
}

std::string system_error(const std::string& path, const char* what, int error) {
  return path + ": " + what + ": " + std::system_category().message(error);
}

/// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_{fd} {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  /// @return 0, or errno
  int close() { return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  int fd_;
};

/// @return 0, or errno
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// @return 0, or errno; EFBIG for a file that is too long to be a key file
int read_all(int fd, std::string& into) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    into.append(buffer.data(), static_cast<std::size_t>(got));
    if (into.size() > file_bytes_max) return EFBIG;
  }
}

/// Writes and syncs a temporary file, which gets the owner of the file that it will replace: an
/// operator who adds a key as root must not lock the broker out.
/// @return 0, or errno
int write_key_file(Fd& file, const std::string& path, std::string_view text) {
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0 && (old.st_uid != ::geteuid() || old.st_gid != ::getegid()) &&
      ::fchown(file.get(), old.st_uid, old.st_gid) != 0) {
    return errno;
  }
  if (::fchmod(file.get(), S_IRUSR | S_IWUSR) != 0) return errno;
  if (const int error = write_all(file.get(), text)) return error;
  if (::fsync(file.get()) != 0) return errno;
  return file.close();
}

/// Makes a rename in the directory of `path` last. @return 0, or errno
int sync_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  return fd.open() && ::fsync(fd.get()) == 0 ? 0 : errno;
}

}  // namespace

Result<Keyring, std::string> Keyring::parse(std::string_view text) {
  Keyring keyring;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos || line[start] == '#') continue;
    auto key = parse_key(line);
    const auto has_id = [&key](const Key& other) { return other.key_id == key->key_id; };
    if (key && std::any_of(keyring.keys_.begin(), keyring.keys_.end(), has_id)) {
      key = failed("the key id " + std::to_string(key->key_id) + " occurs twice");
    }
    if (!key) return failed("line " + std::to_string(number) + ": " + key.error());
    keyring.keys_.push_back(*key);
  }
  return keyring;
}

std::string Keyring::render() const {
  std::string text = "# id secret user|service active|retired created\n";
  for (const Key& key : keys_) {
    std::array<char, 2 * secret_bytes + 1> hex{};
    sodium_bin2hex(hex.data(), hex.size(), key.secret.data(), key.secret.size());
    text += std::to_string(key.key_id);
    text += ' ';
    text += key.retired ? "-" : hex.data();
    text += key.service ? " service" : " user";
    text += key.retired ? " retired " : " active ";
    text += std::to_string(key.created_at_s);
    text += '\n';
  }
  return text;
}

const Key* Keyring::find(std::uint8_t key_id) const {
  for (const Key& key : keys_) {
    if (key.key_id == key_id) return key.retired ? nullptr : &key;
  }
  return nullptr;
}

const Key* Keyring::newest(bool service) const {
  const Key* newest = nullptr;
  for (const Key& key : keys_) {
    if (key.retired || key.service != service) continue;
    // Ids only grow, while a clock may have gone back between two keys.
    if (newest == nullptr || key.key_id > newest->key_id) newest = &key;
  }
  return newest;
}

Result<std::uint8_t, std::string> Keyring::add(const Secret& secret, bool service,
                                               std::int64_t now_s) {
  unsigned last = 0;
  for (const Key& key : keys_) last = std::max<unsigned>(last, key.key_id);
  if (last == 255) return failed(std::string{"all 255 key ids are used up"});
  const auto key_id = static_cast<std::uint8_t>(last + 1);
  keys_.push_back(Key{key_id, secret, service, false, now_s});
  return key_id;
}

bool Keyring::retire(std::uint8_t key_id) {
  for (Key& key : keys_) {
    if (key.key_id != key_id || key.retired) continue;
    key.retired = true;
    sodium_memzero(key.secret.data(), key.secret.size());
    return true;
  }
  return false;
}

Result<Keyring, std::string> load_key_file(const std::string& path) {
  // Not blocking: opening a FIFO would otherwise wait for a writer for ever.
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file.open()) return failed(system_error(path, "cannot open the key file", errno));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) {
    return failed(system_error(path, "cannot look at the key file", errno));
  }
  if (!S_ISREG(info.st_mode)) return failed(path + ": the key file is not a regular file");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return failed(path + ": others than its owner have access to the key file; do: chmod 600 " +
                  path);
  }
  std::string text;
  if (const int error = read_all(file.get(), text)) {
    return failed(system_error(path, "cannot read the key file", error));
  }
  auto keyring = Keyring::parse(text);
  sodium_memzero(text.data(), text.size());
  if (!keyring) return failed(path + ": " + keyring.error());
  return keyring;
}

Result<void, std::string> save_key_file(const std::string& path, const Keyring& keys) {
  std::string temporary = path + ".XXXXXX";
  Fd file{::mkostemp(temporary.data(), O_CLOEXEC)};
  if (!file.open()) return failed(system_error(path, "cannot create a file beside it", errno));
  std::string text = keys.render();
  int error = write_key_file(file, path, text);
  sodium_memzero(text.data(), text.size());
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return failed(system_error(path, "cannot write the key file", error));
  }
  error = sync_directory(path);
  if (error != 0) return failed(system_error(path, "cannot sync its directory", error));
  return {};
}

Secret random_secret() {
  static const bool ready = sodium_init() >= 0;
  Secret secret{};
  if (ready) randombytes_buf(secret.data(), secret.size());
  return secret;
}

}  // namespace parley
