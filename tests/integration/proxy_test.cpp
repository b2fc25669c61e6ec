// The wire that can be cut does what it says; and the worker on such wires loses nothing.
#include "tests/support/proxy.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Clock = std::chrono::steady_clock;

namespace {

constexpr Milliseconds a_while{200};  // for what must not happen

/// A broker of no particular sort, behind a proxy.
struct Proxied {
  TemporaryFolder folder;
  Broker broker{folder.path(), {.lines = {"allow_anonymous true"}, .with_plugin = false}};
  Proxy proxy{broker.port()};

  MqttClient connect() {
    MqttClient client{proxy.port()};
    REQUIRE(client.connect({}) == 0);
    return client;
  }
};

bool answers(MqttClient& client, Milliseconds within) {
  try {
    return client.ping(Deadline{within});
  } catch (const std::runtime_error&) {
    return false;
  }
}

void wait_cuts(const Proxy& proxy, std::size_t count) {
  eventually("the proxy has cut", [&] { return proxy.cuts() >= count; });
}

void cut_both(Instance& instance) {
  eventually("the worker is connected", [&] {
    return instance.database_proxy().open_connections() >= 2 &&
           instance.broker_proxy().open_connections() == 2;
  });
  instance.database_proxy().cut();
  instance.broker_proxy().cut();
}

/// A table behind a proxy.
struct ProxiedTable {
  std::string uri = Postgres::shared().create_empty_database();
  Database direct{uri};
  Proxy proxy{Postgres::shared().socket_path()};
  std::string through = Postgres::uri_through(proxy.port(), uri);

  ProxiedTable() { direct.query("CREATE TABLE t (n int)"); }
  ProxiedTable(const ProxiedTable&) = delete;
  ProxiedTable& operator=(const ProxiedTable&) = delete;
  ~ProxiedTable() { Postgres::shared().drop_database(uri); }
  std::int64_t rows() { return direct.number("SELECT count(*) FROM t"); }
};

/// One try, unlike Database::query, which tries again on a new connection.
bool insert_once(const std::string& uri) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection{PQconnectdb(uri.c_str()),
                                                                &PQfinish};
  REQUIRE(PQstatus(connection.get()) == CONNECTION_OK);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result{
      PQexecParams(connection.get(), "INSERT INTO t VALUES (1)", 0, nullptr, nullptr, nullptr,
                   nullptr, 0),
      &PQclear};
  return PQresultStatus(result.get()) == PGRES_COMMAND_OK;
}

/// alice sends `count` messages to bob; after each, `disturb` may do something.
void check_survives(Instance& instance, int count, const std::function<void(int)>& disturb) {
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= count; ++i) {
    const std::string text = with_number("m", i);
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob/" + text), .payload = text});
    REQUIRE(alice.mqtt.await_answers(20));
    disturb(i);
  }
  REQUIRE(alice.mqtt.await_answers());
  const Deadline deadline{slowed(Milliseconds{30'000})};
  for (int i = 1; i <= count; ++i) {
    REQUIRE(alice.expect_text(with_number("ack/m", i), deadline) == with_number("stored ", i));
  }
  const auto rows = instance.stored_direct("alice", "bob");
  REQUIRE(rows.size() == static_cast<std::size_t>(count));
  for (int i = 1; i <= count; ++i) {
    REQUIRE(rows[static_cast<std::size_t>(i - 1)] == Row{std::to_string(i), with_number("m", i)});
  }
}

}  // namespace

TEST_CASE("proxy: a cut ends what there is, and new connections pass") {
  Proxied proxied;
  MqttClient first = proxied.connect();
  MqttClient second = proxied.connect();
  CHECK(first.ping());
  CHECK(proxied.proxy.open_connections() == 2);
  proxied.proxy.cut();
  CHECK(proxied.proxy.cuts() == 2);
  CHECK(first.wait_closed());
  CHECK(second.wait_closed());
  MqttClient third = proxied.connect();
  CHECK(third.ping());
  CHECK(proxied.proxy.connections() == 3);
}

TEST_CASE("proxy: refused are only new connections") {
  Proxied proxied;
  MqttClient first = proxied.connect();
  for (int round = 0; round < 2; ++round) {
    proxied.proxy.refuse(true);
    CHECK_THROWS(MqttClient{proxied.proxy.port()});
    CHECK(first.ping());
    proxied.proxy.refuse(false);
    CHECK(proxied.connect().ping());
  }
}

TEST_CASE("proxy: half-open connections stay and carry nothing") {
  Proxied proxied;
  MqttClient first = proxied.connect();
  proxied.proxy.half_open();
  CHECK_FALSE(answers(first, a_while));
  CHECK_FALSE(first.closed());
  MqttClient second{proxied.proxy.port()};  // the kernel says yes for it
  second.send_raw(encode_connect({}) + encode_empty(PacketType::pingreq));
  CHECK_FALSE(answers(second, a_while));
  proxied.proxy.resume();
  CHECK(answers(first, patience()));
  CHECK(answers(second, patience()));
  CHECK(proxied.proxy.cuts() == 0);
}

TEST_CASE("proxy: a delay counts in both directions, and keeps the order") {
  Proxied proxied;
  MqttClient client = proxied.connect();
  REQUIRE(client.subscribe("t") == 1);
  proxied.proxy.delay(a_while);
  const auto start = Clock::now();
  for (int i = 1; i <= 5; ++i) client.publish_soon({.topic = "t", .payload = std::to_string(i)});
  CHECK(client.await_answers());
  CHECK(Clock::now() - start >= 2 * a_while);
  for (int i = 1; i <= 5; ++i) CHECK(client.expect_text("t") == std::to_string(i));
}

TEST_CASE("proxy: a large message passes unharmed") {
  Proxied proxied;
  MqttClient client = proxied.connect();
  REQUIRE(client.subscribe("t") == 1);
  std::string large;
  for (int i = 0; large.size() < 3'000'000; ++i) large += std::to_string(i);
  CHECK(client.publish("t", large) == 0);
  CHECK(client.expect_text("t") == large);
}

TEST_CASE("proxy: cut_after lets exactly so many bytes through") {
  Proxied proxied;
  MqttClient other = proxied.connect();
  REQUIRE(other.subscribe("t") == 1);
  MqttClient client = proxied.connect();
  const std::string publish = encode_publish({.topic = "t", .payload = "whole", .qos = 0}, 4);
  proxied.proxy.cut_after(Proxy::Direction::to_server, publish.size() + 3);
  client.send_raw(publish + publish);
  CHECK(client.wait_closed());
  CHECK(other.expect_text("t") == "whole");
  CHECK(other.drain().empty());
  CHECK(proxied.proxy.cuts() == 1);
  CHECK(proxied.connect().ping());  // only once
}

TEST_CASE("proxy: what PostgreSQL was told without its SYNC does not happen") {
  ProxiedTable table;
  CHECK(insert_once(table.through));
  table.proxy.cut_before(Proxy::Direction::to_server, Proxy::postgres_sync());
  CHECK_FALSE(insert_once(table.through));
  CHECK(table.rows() == 1);
  CHECK(table.proxy.cuts() == 1);
  CHECK(insert_once(table.through));
  CHECK(table.rows() == 2);
}

TEST_CASE("proxy: a COMMIT whose answer is cut off has happened") {
  ProxiedTable table;
  table.proxy.cut_before(Proxy::Direction::to_client, Proxy::postgres_ready(), "INSERT INTO t");
  CHECK_FALSE(insert_once(table.through));
  CHECK(table.rows() == 1);
  CHECK(table.proxy.cuts() == 1);
}

TEST_CASE("proxy: a cut can be meant for the connection that has sent something") {
  ProxiedTable table;
  Database other{table.through};
  table.proxy.cut_before(Proxy::Direction::to_client, Proxy::postgres_ready(), "INSERT INTO t");
  CHECK(other.number("SELECT count(*) FROM t") == 0);
  CHECK(table.proxy.cuts() == 0);
  CHECK_FALSE(insert_once(table.through));
  CHECK(other.number("SELECT count(*) FROM t") == 1);
  CHECK(table.proxy.cuts() == 1);
}

TEST_CASE(
    "proxy: a pattern that comes in pieces is found, and its beginning is not kept for good") {
  Proxied proxied;
  MqttClient other = proxied.connect();
  REQUIRE(other.subscribe("t") == 1);
  MqttClient client = proxied.connect();
  const std::string publish = encode_publish({.topic = "t", .payload = "abcabd", .qos = 0}, 4);
  proxied.proxy.cut_before(Proxy::Direction::to_server, "abdX");
  client.send_raw(publish);  // ends like the pattern begins
  CHECK(other.drain().empty());
  client.send_raw(publish);
  CHECK(other.expect_text("t") == "abcabd");
  client.send_raw("X");
  CHECK(client.wait_closed());
  CHECK(other.drain().empty());
}

TEST_CASE("proxy: a trap that is disarmed cuts nothing, and keeps nothing back") {
  Proxied proxied;
  MqttClient other = proxied.connect();
  REQUIRE(other.subscribe("t") == 1);
  MqttClient client = proxied.connect();
  const std::string publish = encode_publish({.topic = "t", .payload = "abc", .qos = 0}, 4);
  proxied.proxy.cut_before(Proxy::Direction::to_server, "bcX");
  client.send_raw(publish);  // ends like the pattern begins
  CHECK(other.drain().empty());
  proxied.proxy.disarm();
  CHECK(other.expect_text("t") == "abc");
  client.send_raw(encode_publish({.topic = "t", .payload = "abcX", .qos = 0}, 4));
  CHECK(other.expect_text("t") == "abcX");
  proxied.proxy.cut_after(Proxy::Direction::to_server, 1);
  proxied.proxy.disarm();
  CHECK(client.ping());
  CHECK(proxied.proxy.cuts() == 0);
}

TEST_CASE("proxy: a server that is not there hangs up on its clients") {
  Proxied proxied;
  proxied.broker.kill();
  MqttClient client{proxied.proxy.port()};
  CHECK(client.connect({}) == disconnected);
  proxied.broker.start();
  CHECK(proxied.connect().ping());
}

TEST_CASE("proxy: batches without SYNC, and COMMITs without answer, are stored once") {
  Instance instance({"alice", "bob"}, {.proxied = true});
  auto& proxy = instance.database_proxy();
  check_survives(instance, 600, [&](int i) {
    if (i % 60 != 0) return;
    // Each trap is passed before the next one is set.
    const auto set = static_cast<std::size_t>(i / 60 - 1);
    wait_cuts(proxy, set);
    REQUIRE(proxy.cuts() == set);
    if (i == 600) return;  // hardly anything is left that could pass one
    if (i % 120 == 0) {
      proxy.cut_before(Proxy::Direction::to_client, Proxy::postgres_ready(), "store_messages");
    } else {
      proxy.cut_before(Proxy::Direction::to_server, Proxy::postgres_sync(), "store_messages");
    }
  });
  CHECK(proxy.cuts() == 9);
}

TEST_CASE(
    "proxy: a wire to the broker or to PostgreSQL that is cut again and again loses nothing") {
  Instance instance({"alice", "bob"}, {.proxied = true});
  check_survives(instance, 600, [&](int i) {
    if (i % 100 == 0) cut_both(instance);
    if (i == 320) instance.broker_proxy().half_open();
    if (i == 330) instance.broker_proxy().resume();
    if (i == 420) instance.database_proxy().half_open();
    if (i == 430) instance.database_proxy().resume();
  });
  CHECK(instance.database_proxy().cuts() >= 12);
  CHECK(instance.broker_proxy().cuts() == 12);
}
