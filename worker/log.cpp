#include "worker/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace parley::log {

bool start(std::string_view level) {
  const auto parsed = spdlog::level::from_str(std::string{level});
  if (parsed == spdlog::level::off && level != "off") return false;
  auto logger =
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
  return true;
}

std::string quoted(std::string_view value) {
  std::string out{"\""};
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  while (out.size() > 1 && out.back() == ' ') out.pop_back();
  out.push_back('"');
  return out;
}

}  // namespace parley::log
