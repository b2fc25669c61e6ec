// Tokens that cease to be good: expired, revoked, disabled, signed with a retired key.
#include <doctest/doctest.h>

#include <ctime>

#include "tests/support/instance.hpp"

using namespace parley::test;

namespace {

constexpr int refused_v3 = 5;

std::string fresh_token(Instance& instance, const std::string& name) {
  std::string token = instance.parley({"token", name}).out;
  if (!token.empty()) token.pop_back();
  return token;
}

int login_with(Instance& instance, const std::string& name, const std::string& token) {
  ConnectOptions options = instance.login(name);
  options.password = token;
  return instance.try_login(options);
}

/// Waits until that login is answered so.
void wait_login(Instance& instance, const std::string& name, const std::string& token, int code) {
  eventually("login of " + name + with_number(" is answered ", code),
             [&] { return login_with(instance, name, token) == code; });
}

}  // namespace

TEST_CASE("revocation: an expired token drops its live connection and is refused") {
  Instance instance{"alice", "bob"};
  ConnectOptions options = instance.login("alice");
  const auto soon = static_cast<std::uint32_t>(std::time(nullptr) + 2);
  options.password = instance.token("alice", {.expires_at = soon});
  MqttClient alice = instance.connect(options);
  CHECK(alice.subscribe("im/u/alice/inbox/+") == 1);
  Person other = instance.person("alice");
  CHECK(alice.wait_closed());
  CHECK(std::time(nullptr) >= soon);
  CHECK(instance.try_login(options) == refused_v3);
  CHECK(other.mqtt.ping());
}

TEST_CASE("revocation: what a connection says after its token expired is not taken") {
  Instance instance{"alice", "bob"};
  ConnectOptions options = instance.login("alice");
  options.version = 5;
  const auto soon = static_cast<std::uint32_t>(std::time(nullptr) + 2);
  options.password = instance.token("alice", {.expires_at = soon});
  Person alice = instance.connected("alice", options);
  int accepted = 0;
  while (alice.publish("send/bob", "still here") == 0) ++accepted;
  const std::time_t end = std::time(nullptr);
  CHECK(accepted > 0);
  CHECK(end <= static_cast<std::time_t>(soon) + 2);
  CHECK(alice.mqtt.wait_closed());
}

TEST_CASE("revocation: token revoke drops live connections and refuses the old tokens only") {
  Instance instance{"alice", "bob"};
  const std::string old_token = instance.token("alice");
  Person first = instance.person("alice");
  Person phone = instance.device("alice", "phone");
  Person bob = instance.person("bob");
  CHECK(instance.parley({"token", "revoke", "alice"}).code == 0);
  CHECK(first.mqtt.wait_closed());
  CHECK(phone.mqtt.wait_closed());
  CHECK(login_with(instance, "alice", old_token) == refused_v3);
  CHECK(bob.mqtt.ping());
  CHECK(login_with(instance, "alice", fresh_token(instance, "alice")) == 0);
}

TEST_CASE("revocation: a device that was dropped keeps its subscriptions for a new token") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox/+"});
  CHECK(instance.parley({"token", "revoke", "bob"}).code == 0);
  CHECK(phone.mqtt.wait_closed());
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "missed") == "stored 1");
  ConnectOptions options = instance.device_login("bob", "phone");
  options.password = fresh_token(instance, "bob");
  Person again = instance.connected("bob", options);
  CHECK(again.mqtt.session_present());
  CHECK(again.expect_text("inbox/alice") == "missed");
  CHECK(alice.send("bob", "live") == "stored 2");
  CHECK(again.expect_text("inbox/alice") == "live");
}

TEST_CASE("revocation: a device's tokens can be revoked alone") {
  Instance instance{"alice"};
  ConnectOptions phone = instance.device_login("alice", "phone");
  phone.password = instance.token("alice", {.device = "phone"});
  ConnectOptions tablet = instance.device_login("alice", "tablet");
  tablet.password = instance.token("alice", {.device = "tablet"});
  MqttClient on_phone = instance.connect(phone);
  MqttClient on_tablet = instance.connect(tablet);
  CHECK(instance.parley({"token", "revoke", "alice", "--device", "phone"}).code == 0);
  CHECK(on_phone.wait_closed());
  CHECK(instance.try_login(phone) == refused_v3);
  CHECK(on_tablet.ping());
  CHECK(login_with(instance, "alice", instance.token("alice")) == 0);
}

TEST_CASE("revocation: a disabled user is dropped and refused until enabled again") {
  Instance instance{"alice", "bob"};
  const std::string token = instance.token("alice");
  Person alice = instance.person("alice");
  CHECK(instance.parley({"user", "disable", "alice"}).code == 0);
  CHECK(alice.mqtt.wait_closed());
  CHECK(login_with(instance, "alice", token) == refused_v3);
  CHECK(login_with(instance, "bob", instance.token("bob")) == 0);
  CHECK(instance.parley({"token", "alice"}).code != 0);
  CHECK(instance.parley({"user", "enable", "alice"}).code == 0);
  wait_login(instance, "alice", token, 0);
}

TEST_CASE("revocation: it holds after a restart of the broker while the worker is down") {
  Instance instance{"alice", "bob", "carol"};
  const std::string alice = instance.token("alice");
  const std::string bob = instance.token("bob");
  CHECK(instance.parley({"user", "disable", "alice"}).code == 0);
  CHECK(instance.parley({"token", "revoke", "bob"}).code == 0);
  wait_login(instance, "alice", alice, refused_v3);
  wait_login(instance, "bob", bob, refused_v3);
  instance.kill_worker();
  SUBCASE("killed") { instance.broker().kill(); }
  SUBCASE("stopped") { instance.broker().stop(); }
  instance.broker().start();
  CHECK(login_with(instance, "alice", alice) == refused_v3);
  CHECK(login_with(instance, "bob", bob) == refused_v3);
  CHECK(login_with(instance, "bob", fresh_token(instance, "bob")) == 0);
  CHECK(login_with(instance, "carol", instance.token("carol")) == 0);
}

TEST_CASE("revocation: what was revoked while the worker was down counts when it is back") {
  Instance instance{"alice"};
  const std::string token = instance.token("alice");
  Person alice = instance.person("alice");
  instance.kill_worker();
  CHECK(instance.parley({"token", "revoke", "alice"}).code == 0);
  instance.start_worker();
  CHECK(alice.mqtt.wait_closed());
  wait_login(instance, "alice", token, refused_v3);
}

TEST_CASE("revocation: SIGHUP makes the broker read the keys again") {
  Instance instance{"alice", "bob"};
  const std::string old_token = instance.token("alice");
  CHECK(instance.parley({"key", "new"}).code == 0);
  const std::string new_token = fresh_token(instance, "alice");
  CHECK(login_with(instance, "alice", new_token) == refused_v3);
  Person bob = instance.person("bob");
  bob.listen({"inbox/+", "ack/+"});
  instance.broker().reload();
  wait_login(instance, "alice", new_token, 0);
  CHECK(bob.send("alice", "still here") == "stored 1");
  Person alice = instance.person("alice");
  alice.publish("send/bob", "so am I");
  CHECK(bob.expect_text("inbox/alice") == "so am I");
  CHECK(login_with(instance, "alice", old_token) == 0);  // both are good: rotation
  CHECK(bob.mqtt.ping());
  CHECK(instance.parley({"key", "retire", "1"}).code == 0);
  instance.broker().reload();
  wait_login(instance, "alice", old_token, refused_v3);
  CHECK(login_with(instance, "alice", new_token) == 0);
  CHECK(bob.mqtt.wait_closed());  // his token is signed with the retired key
}

TEST_CASE("revocation: a broken key file does not lock anybody out on SIGHUP") {
  Instance instance{"alice"};
  const std::string token = instance.token("alice");
  Person alice = instance.person("alice");
  write_file(instance.key_path(), "this is no key file\n", 0600);
  const std::size_t before = instance.broker().log().size();
  instance.broker().reload();
  eventually("the broker has read it", [&] { return instance.broker().log().size() > before; });
  CHECK(alice.mqtt.ping());
  CHECK(login_with(instance, "alice", token) == 0);
}
