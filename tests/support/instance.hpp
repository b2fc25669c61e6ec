// A whole Parley of its own: broker, worker, database, keys, people. And one of the people,
// connected.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/keyring.hpp"
#include "core/token.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/proxy.hpp"
#include "tests/support/worker.hpp"

namespace parley::test {

struct InstanceOptions {
  BrokerOptions broker{};
  std::string config{};  // TOML after [broker] and [database]
  bool start_worker = true;
  Postgres* postgres = nullptr;  // null: the shared one
  /// Between the worker and its servers: see Instance::database_proxy and broker_proxy. The command
  /// line, which reads the same file, goes through them too; tests do not.
  bool proxied = false;
  std::vector<std::pair<std::string, std::string>> worker_environment{};
};

/// What a token shall say; the rest comes from the user.
struct TokenOptions {
  std::uint8_t scope = scope::ordinary;
  std::uint32_t expires_at = 0;
  std::uint32_t generation = 0;
  std::string device{};
  std::uint8_t key_id = 1;
  std::optional<Secret> secret{};  // else the one of the key file
};

/// A user's connection, with short names for what users do.
class Person {
 public:
  Person(std::string name, MqttClient client) : mqtt{std::move(client)}, name_{std::move(name)} {}

  /// Subscribes "im/u/<me>/<rest>" for each. @throw std::runtime_error unless all are granted
  void listen(std::initializer_list<std::string> rests);
  /// "im/u/<me>/<rest>"
  [[nodiscard]] std::string topic(const std::string& rest) const;
  /// Publishes "im/u/<me>/<rest>"; see MqttClient::publish.
  int publish(const std::string& rest, const std::string& payload, int qos = 1);
  /// Publishes a text message and waits for its ack (listen to "ack/+" first).
  /// @return the ack, e.g. "stored 1"
  std::string send(const std::string& to, const std::string& text, const std::string& id = "");
  /// The next publication on "im/u/<me>/<rest>".
  Publication expect(const std::string& rest, Deadline deadline = Deadline{});
  std::string expect_text(const std::string& rest, Deadline deadline = Deadline{});

  MqttClient mqtt;

 private:
  std::string name_;
};

class Instance {
 public:
  /// Everything running and online.
  explicit Instance(InstanceOptions options = {});
  /// The same, with these users.
  explicit Instance(std::initializer_list<std::string> users, InstanceOptions options = {});
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  Broker& broker() { return *broker_; }
  Worker& worker() { return *worker_; }
  /// A second worker of the same messenger; it is not started.
  [[nodiscard]] Worker another_worker() const;
  Database& database();
  /// For connections beside that.
  [[nodiscard]] const std::string& database_uri() const { return uri_; }
  Postgres& postgres() { return postgres_; }
  /// Only with InstanceOptions::proxied.
  Proxy& database_proxy() { return *database_proxy_; }
  Proxy& broker_proxy() { return *broker_proxy_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  [[nodiscard]] std::uint16_t port() const { return broker_->port(); }
  [[nodiscard]] std::string config_path() const { return folder_.file("parley.toml"); }
  [[nodiscard]] std::string key_path() const { return folder_.file("keys"); }

  void user(const std::string& name);
  /// A room with these members, the first one being its owner; no message says so.
  void room(const std::string& name, const std::vector<std::string>& members);
  std::int64_t user_id(const std::string& name);
  std::string token(const std::string& name, const TokenOptions& options = {});

  /// What it takes to log in: a client id of no device, a new token.
  ConnectOptions login(const std::string& name);
  /// As the named device, persistent.
  ConnectOptions device_login(const std::string& name, const std::string& device);
  /// The CONNACK's code for that, or `disconnected`.
  int try_login(const ConnectOptions& options) const;
  /// @throw std::runtime_error if refused
  MqttClient connect(const ConnectOptions& options) const;
  Person person(const std::string& name);   // MQTT 3.1.1
  Person person5(const std::string& name);  // MQTT 5
  Person device(const std::string& name, const std::string& device);
  Person connected(const std::string& name, const ConnectOptions& options) const;

  /// Kills or stops the worker, and waits until everybody was told.
  void kill_worker();
  void stop_worker();
  /// Starts it and waits until it is online.
  void start_worker();
  void wait_online();
  /// Waits until whatever was published before has been stored or refused, and answered.
  void settle();

  /// Runs the command line with this messenger's configuration.
  Ran parley(const std::vector<std::string>& arguments, const std::string& input = {});
  /// Runs `mosquitto_pub`, `mosquitto_sub` or `mosquitto_rr` with host and port added.
  [[nodiscard]] Command mosquitto(const std::string& tool,
                                  const std::vector<std::string>& arguments) const;

  /// Rows of `messages` in a conversation between these two, or in this room, by seq.
  std::vector<Row> stored_direct(const std::string& a, const std::string& b);
  std::vector<Row> stored_room(const std::string& room);  // seq, body

 private:
  void write_config() const;
  void wait_status(const std::string& status);
  Person& watcher();

  TemporaryFolder folder_;
  Postgres& postgres_;
  std::string uri_;
  std::string config_;
  std::optional<Proxy> database_proxy_;
  std::optional<Proxy> broker_proxy_;
  Keyring keys_;
  std::unique_ptr<Database> database_;
  std::optional<Broker> broker_;
  std::optional<Worker> worker_;
  std::optional<Person> watcher_;
  int logins_ = 0;
  int settlings_ = 0;
};

}  // namespace parley::test
