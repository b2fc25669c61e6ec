// What every fuzz target needs: to take values out of the fuzzer's bytes, and to say what must
// hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace parley::fuzz {

/// A property that must hold for every input. The fuzzer keeps the input that broke it.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "PROPERTY VIOLATED: %s\n", what);
  std::abort();
}

/// Values from the fuzzer's bytes; zeros when they are used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_{reinterpret_cast<const char*>(data), size} {}

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = (value << 8U) | byte();
    return value;
  }
  /// At most `bytes_max` (255 at most); how many is itself a byte of the input.
  std::string_view text(std::size_t bytes_max = 255) {
    const std::size_t wanted = byte() % (bytes_max + 1);
    const std::string_view value = rest_.substr(0, wanted);
    rest_.remove_prefix(value.size());
    return value;
  }
  /// Up to the next newline, which is eaten.
  std::string_view line() {
    const std::size_t end = rest_.find('\n');
    const std::string_view value = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return value;
  }
  std::string_view rest() { return std::string_view{rest_}; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Frames in one input, each with two bytes of length; the last one may be cut short.
template <class Each>
void each_frame(Input input, Each&& each) {
  std::string_view rest = input.rest();
  while (rest.size() >= 2) {
    const std::size_t wanted =
        static_cast<unsigned char>(rest[0]) * 256U + static_cast<unsigned char>(rest[1]);
    rest.remove_prefix(2);
    const auto frame = rest.substr(0, wanted);
    rest.remove_prefix(frame.size());
    each(frame);
  }
}

}  // namespace parley::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
