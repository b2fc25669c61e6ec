// Who may connect, and under which client id.
#include <doctest/doctest.h>

#include <ctime>

#include "tests/support/instance.hpp"

using namespace parley::test;
namespace scope = parley::scope;

namespace {

constexpr int refused_v3 = 5;
constexpr int refused_v5 = 0x87;

/// The codes for the same login with MQTT 3.1.1 and 5.
std::pair<int, int> both_versions(Instance& instance, ConnectOptions options) {
  options.version = 4;
  const int v3 = instance.try_login(options);
  options.version = 5;
  return {v3, instance.try_login(options)};
}

std::pair<int, int> login_with(Instance& instance, const std::string& name,
                               const std::string& token) {
  return both_versions(instance, {.client_id = "some-client", .username = name, .password = token});
}

const std::pair<int, int> accepted{0, 0};
const std::pair<int, int> refused{refused_v3, refused_v5};

}  // namespace

TEST_CASE("login: a good token is let in, with both versions of MQTT") {
  Instance instance{"alice"};
  CHECK(login_with(instance, "alice", instance.token("alice")) == accepted);
  const auto soon = static_cast<std::uint32_t>(std::time(nullptr) + 3600);
  CHECK(login_with(instance, "alice", instance.token("alice", {.expires_at = soon})) == accepted);
}

TEST_CASE("login: bad tokens are refused") {
  Instance instance{"alice", "bob"};
  const std::string good = instance.token("alice");
  REQUIRE(good.size() == 68);

  std::string damaged = good;
  damaged[60] = damaged[60] == 'A' ? 'B' : 'A';
  CHECK(login_with(instance, "alice", damaged) == refused);
  std::string other_scope = good;
  other_scope[3] = other_scope[3] == 'A' ? 'B' : 'A';
  CHECK(login_with(instance, "alice", other_scope) == refused);
  CHECK(login_with(instance, "alice", good.substr(0, 67)) == refused);
  CHECK(login_with(instance, "alice", good.substr(0, 40)) == refused);
  CHECK(login_with(instance, "alice", good + "A") == refused);
  CHECK(login_with(instance, "alice", "") == refused);
  CHECK(login_with(instance, "alice", "secret") == refused);

  const auto past = static_cast<std::uint32_t>(std::time(nullptr) - 10);
  CHECK(login_with(instance, "alice", instance.token("alice", {.expires_at = past})) == refused);
  CHECK(login_with(instance, "alice",
                   instance.token("alice", {.secret = parley::random_secret()})) == refused);
  CHECK(login_with(instance, "alice",
                   instance.token("alice", {.key_id = 9, .secret = parley::random_secret()})) ==
        refused);
}

TEST_CASE("login: a token is good for its own name only") {
  Instance instance{"alice", "bob"};
  CHECK(login_with(instance, "alice", instance.token("bob")) == refused);
  CHECK(login_with(instance, "carol", instance.token("bob")) == refused);
  ConnectOptions nameless = instance.login("bob");
  nameless.username.reset();
  nameless.password.reset();
  CHECK(both_versions(instance, nameless) == refused);
}

TEST_CASE("login: a token of one device is good for that client id only") {
  Instance instance{"alice"};
  const std::string token = instance.token("alice", {.device = "phone"});
  ConnectOptions options = instance.login("alice");
  options.password = token;
  options.client_id = "alice.phone";
  CHECK(both_versions(instance, options) == accepted);
  options.client_id = "alice.tablet";
  CHECK(both_versions(instance, options) == refused);
  options.client_id = "anything";
  CHECK(both_versions(instance, options) == refused);
}

TEST_CASE("login: scope service needs a service key and a service's name") {
  Instance instance{"alice"};
  constexpr std::uint8_t service_key = 2;
  const std::uint8_t all = scope::ordinary | scope::service;
  CHECK(login_with(instance, "alice", instance.token("alice", {.scope = all})) == refused);
  CHECK(login_with(instance, "alice",
                   instance.token("alice", {.scope = all, .key_id = service_key})) == refused);

  const parley::Keyring keys = parley::load_key_file(instance.key_path()).value();
  const auto service_token = [&](std::uint8_t key_id, std::uint8_t scope) {
    return parley::mint_token({.key_id = key_id, .scope = scope, .user_id = {}},
                              {.prefix = "im", .name = "_probe", .device = {}},
                              keys.find(key_id)->secret);
  };
  CHECK(login_with(instance, "_probe", service_token(service_key, scope::service)) == accepted);
  CHECK(login_with(instance, "_probe", service_token(1, scope::service)) == refused);
  CHECK(login_with(instance, "_probe", service_token(service_key, scope::ordinary)) == refused);
}

TEST_CASE("login: nobody takes a named device's client id, live or offline") {
  Instance instance({"alice", "bob"}, {.broker = {.passwords = {{"lamp", "pw"}}}});
  ConnectOptions thief = instance.login("bob");
  thief.client_id = "alice.phone";
  ConnectOptions lamp{.client_id = "alice.phone", .username = "lamp", .password = "pw"};

  SUBCASE("never seen") {
    CHECK(both_versions(instance, thief) == refused);
    // Nobody can know yet that the operator's device takes somebody's name; if it may, it keeps it.
    MqttClient live{instance.port()};
    if (live.connect(lamp) == 0) {
      CHECK(both_versions(instance, instance.device_login("alice", "phone")) == refused);
      CHECK(live.ping());
    }
  }
  SUBCASE("live") {
    Person alice = instance.device("alice", "phone");
    CHECK(both_versions(instance, thief) == refused);
    CHECK(both_versions(instance, lamp) == refused);
    CHECK(alice.mqtt.ping());
  }
  SUBCASE("offline, with a session that waits") {
    Person alice = instance.device("alice", "phone");
    alice.listen({"inbox/+"});
    alice.mqtt.disconnect();
    CHECK(both_versions(instance, thief) == refused);
    CHECK(both_versions(instance, lamp) == refused);
    Person again = instance.device("alice", "phone");
    CHECK(again.mqtt.session_present());
  }
}

TEST_CASE("login: nobody takes over a live foreign session") {
  Instance instance({"alice", "bob"}, {.broker = {.passwords = {{"lamp", "pw"}, {"pump", "pw"}}}});
  ConnectOptions holder = instance.login("alice");
  holder.client_id = "shared-id";
  MqttClient alice = instance.connect(holder);
  ConnectOptions thief = instance.login("bob");
  thief.client_id = "shared-id";
  CHECK(both_versions(instance, thief) == refused);
  CHECK(both_versions(instance, {.client_id = "shared-id", .username = "lamp", .password = "pw"}) ==
        refused);
  CHECK(alice.ping());

  MqttClient lamp = instance.connect({.client_id = "lamp-1", .username = "lamp", .password = "pw"});
  ConnectOptions grabber = instance.login("alice");
  grabber.client_id = "lamp-1";
  CHECK(both_versions(instance, grabber) == refused);
  CHECK(lamp.ping());
}

TEST_CASE("login: a free client id serves the next user when it is free again") {
  Instance instance{"alice", "bob"};
  ConnectOptions first = instance.login("alice");
  first.client_id = "shared-id";
  instance.connect(first).disconnect();
  ConnectOptions second = instance.login("bob");
  second.client_id = "shared-id";
  CHECK(instance.try_login(second) == 0);
}

TEST_CASE("login: the same device again replaces the older connection") {
  Instance instance{"alice"};
  Person first = instance.device("alice", "phone");
  Person second = instance.device("alice", "phone");
  CHECK(first.mqtt.wait_closed());
  CHECK(second.mqtt.ping());
}

TEST_CASE("login: a session that is to persist must be a named device") {
  Instance instance{"alice"};
  ConnectOptions options = instance.login("alice");
  options.clean = false;
  CHECK(both_versions(instance, options) == refused);
  options.client_id = "alice.phone.extra";
  CHECK(both_versions(instance, options) == refused);
  options.client_id = "alice.phone";
  CHECK(both_versions(instance, options) == accepted);
}
