// The worker while it waits for what it needs.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/support/instance.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;

namespace {

/// A port where connections are neither taken nor refused, as at a host that is away.
class SilentPort {
 public:
  SilentPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), any, length) == 0);
    REQUIRE(::listen(listener_.get(), 0) == 0);
    REQUIRE(::getsockname(listener_.get(), any, &length) == 0);
    port_ = ntohs(address.sin_port);
    // Nobody accepts these, and there is no room for more.
    for (const auto& one : waiting_) ::connect(one.get(), any, length);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  static int make() { return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }
  Descriptor listener_{make()};
  Descriptor waiting_[2] = {Descriptor{make()}, Descriptor{make()}};
  std::uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("start: a worker that waits for a host that does not answer stops when it is told to") {
  Instance instance({.start_worker = false});
  const SilentPort silent;
  std::string config = read_file(instance.config_path());
  const std::string port = with_number("port = ", instance.port());
  REQUIRE(config.find(port) != std::string::npos);
  config.replace(config.find(port), port.size(), with_number("port = ", silent.port()));
  const std::string path = instance.folder() + "/silent.toml";
  write_file(path, config);
  Worker worker{path, instance.folder() + "/silent.log"};
  worker.start();
  eventually("it has found out that nobody answers",
             [&] { return worker.log().find("event=broker_waiting") != std::string::npos; });
  CHECK(worker.stop() == 0);
}
