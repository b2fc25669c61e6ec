#include "tests/support/instance.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <ctime>
#include <exception>
#include <stdexcept>

namespace parley::test {

namespace {

// Whether the running test case has failed so far: decides whether logs are shown.
bool test_failed = false;

class FailureListener : public doctest::IReporter {
 public:
  explicit FailureListener(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override { test_failed = false; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override { test_failed = true; }
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& data) override {
    test_failed = test_failed || data.m_failed;
  }
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
DOCTEST_REGISTER_LISTENER("failure", 1, FailureListener);

void show_tail(const char* what, const std::string& log) {
  constexpr std::size_t bytes = 3000;
  const std::string tail = log.size() > bytes ? log.substr(log.size() - bytes) : log;
  std::fprintf(stderr, "---- %s ----\n%s\n", what, tail.c_str());
}

/// What no log may hold, whatever the test was about.
void check_log(const char* what, const std::string& log) {
  for (const char* sign : {"Sanitizer", "runtime error:", "event=callback_threw", "event=bad_frame",
                           "event=bad_record"}) {
    const auto at = log.find(sign);
    if (at == std::string::npos) continue;
    ADD_FAIL_CHECK_AT(what, 0, log.substr(at, 4000));
  }
}

constexpr int marker_conversations = 6;

std::string marker_name(int number) { return with_number("marker", number); }

}  // namespace

// ---- Person ----

std::string Person::topic(const std::string& rest) const { return "im/u/" + name_ + "/" + rest; }

void Person::listen(std::initializer_list<std::string> rests) {
  for (const std::string& rest : rests) {
    const int code = mqtt.subscribe(topic(rest));
    if (code < 0 || code > 2) {
      throw std::runtime_error(topic(rest) + with_number(" refused: ", code));
    }
  }
}

int Person::publish(const std::string& rest, const std::string& payload, int qos) {
  return mqtt.publish(topic(rest), payload, qos);
}

std::string Person::send(const std::string& to, const std::string& text, const std::string& id) {
  const std::string level = id.empty() ? "" : "/" + id;
  const int code = publish("send/" + to + level, text);
  if (code != 0) return with_number("PUBACK ", code);
  return expect_text("ack/" + (id.empty() ? "-" : id));
}

Publication Person::expect(const std::string& rest, Deadline deadline) {
  return mqtt.expect(topic(rest), deadline);
}

std::string Person::expect_text(const std::string& rest, Deadline deadline) {
  return expect(rest, deadline).payload;
}

// ---- Instance ----

Instance::Instance(std::initializer_list<std::string> users, InstanceOptions options)
    : postgres_{options.postgres == nullptr ? Postgres::shared() : *options.postgres},
      uri_{postgres_.create_database()},
      config_{std::move(options.config)} {
  keys_.add(random_secret(), false, std::time(nullptr));
  keys_.add(random_secret(), true, std::time(nullptr));
  if (!save_key_file(key_path(), keys_)) throw std::runtime_error("key file");
  user("watcher");
  for (int i = 1; i <= marker_conversations; ++i) user(marker_name(i));
  for (const std::string& name : users) user(name);
  broker_.emplace(folder_.path(), std::move(options.broker));
  if (options.proxied) {
    database_proxy_.emplace(postgres_.socket_path());
    broker_proxy_.emplace(broker_->port());
  }
  write_config();
  worker_.emplace(config_path(), folder_.file("worker.log"), options.worker_environment);
  if (options.start_worker) start_worker();
}

Instance::Instance(InstanceOptions options) : Instance{{}, std::move(options)} {}

Instance::~Instance() {
  if (broker_) check_log("mosquitto", broker_->log());
  if (worker_) check_log("parleyd", worker_->log());
  if (test_failed || std::uncaught_exceptions() > 0) {
    if (broker_) show_tail("mosquitto", broker_->log());
    if (worker_) show_tail("parleyd", worker_->log());
  }
  watcher_.reset();
  worker_.reset();
  broker_.reset();
  database_.reset();
  try {
    postgres_.drop_database(uri_);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

void Instance::write_config() const {
  const auto broker_port = broker_proxy_ ? broker_proxy_->port() : port();
  const auto uri = database_proxy_ ? Postgres::uri_through(database_proxy_->port(), uri_) : uri_;
  write_file(config_path(), with_number("[broker]\nhost = \"127.0.0.1\"\nport = ", broker_port) +
                                "\nkey_file = \"" + key_path() + "\"\n\n[database]\nuri = \"" +
                                uri + "\"\n\n" + config_);
}

Worker Instance::another_worker() const {
  return Worker{config_path(), folder_.file("other_worker.log"), worker_->environment()};
}

Database& Instance::database() {
  if (!database_) database_ = std::make_unique<Database>(uri_);
  return *database_;
}

void Instance::user(const std::string& name) {
  database().query(
      "WITH fresh AS (SELECT nextval('user_ids') AS id),"
      " named AS (INSERT INTO names (name, kind, id) SELECT $1, 'user', id FROM fresh)"
      " INSERT INTO users (user_id, name) SELECT id, $1 FROM fresh",
      {name});
}

void Instance::room(const std::string& name, const std::vector<std::string>& members) {
  const std::string id = database().value(
      "WITH fresh AS (SELECT nextval('conversation_ids') AS id),"
      " named AS (INSERT INTO names (name, kind, id) SELECT $1, 'room', id FROM fresh),"
      " head AS (INSERT INTO conversation_heads (conversation_id) SELECT id FROM fresh)"
      " INSERT INTO conversations (conversation_id, kind, name, title) SELECT id, 'room', $1, $1"
      " FROM fresh RETURNING conversation_id",
      {name});
  std::string role = "owner";
  for (const std::string& member : members) {
    database().query("SELECT enter_room($1::bigint, user_id, $3) FROM users WHERE name = $2",
                     {id, member, role});
    role = "member";
  }
}

std::int64_t Instance::user_id(const std::string& name) {
  return database().number("SELECT user_id FROM users WHERE name = $1", {name});
}

std::string Instance::token(const std::string& name, const TokenOptions& options) {
  const TokenClaims claims{.key_id = options.key_id,
                           .scope = options.scope,
                           .user_id = UserId{user_id(name)},
                           .expires_at = options.expires_at,
                           .generation = options.generation};
  const TokenSubject subject{.prefix = "im", .name = name, .device = options.device};
  if (options.secret) return mint_token(claims, subject, *options.secret);
  const Key* key = keys_.find(options.key_id);
  if (key == nullptr) throw std::runtime_error("no such key");
  return mint_token(claims, subject, key->secret);
}

ConnectOptions Instance::login(const std::string& name) {
  return ConnectOptions{.client_id = name + with_number("-app-", ++logins_),
                        .username = name,
                        .password = token(name)};
}

ConnectOptions Instance::device_login(const std::string& name, const std::string& device) {
  ConnectOptions options = login(name);
  options.client_id = name + "." + device;
  options.clean = false;
  return options;
}

int Instance::try_login(const ConnectOptions& options) const {
  return MqttClient{port()}.connect(options);
}

MqttClient Instance::connect(const ConnectOptions& options) const {
  MqttClient client{port()};
  const int code = client.connect(options);
  if (code != 0) {
    throw std::runtime_error("login of " + options.client_id + with_number(" refused: ", code));
  }
  return client;
}

Person Instance::connected(const std::string& name, const ConnectOptions& options) const {
  return Person{name, connect(options)};
}

Person Instance::person(const std::string& name) { return connected(name, login(name)); }

Person Instance::person5(const std::string& name) {
  ConnectOptions options = login(name);
  options.version = 5;
  return connected(name, options);
}

Person Instance::device(const std::string& name, const std::string& device) {
  return connected(name, device_login(name, device));
}

void Instance::kill_worker() {
  worker_->kill();
  if (broker_->process().running()) wait_status("offline");
}

void Instance::stop_worker() {
  worker_->stop();
  if (broker_->process().running()) wait_status("offline");
}

void Instance::start_worker() {
  worker_->start();
  wait_online();
}

void Instance::wait_online() { wait_status("online"); }

void Instance::wait_status(const std::string& status) {
  MqttClient client = connect(login("watcher"));
  client.subscribe("im/s/status");
  while (client.expect("im/s/status").payload != status) {
    if (worker_->started() && status == "online" && !worker_->process().running()) {
      throw std::runtime_error("parleyd ended: " + worker_->log());
    }
  }
}

Person& Instance::watcher() {
  if (watcher_ && watcher_->mqtt.ping()) return *watcher_;
  watcher_.emplace(person("watcher"));
  watcher_->listen({"ack/+"});
  return *watcher_;
}

void Instance::settle() {
  ++settlings_;
  Person& person = watcher();
  // Names are looked up in the order of receipt, and this one is not remembered: when it is
  // answered, nothing that was published before still waits for its name.
  const std::string unknown = with_number("names-", settlings_);
  person.publish("send/nobody/" + unknown, "marker");
  person.expect("ack/" + unknown);
  std::vector<std::string> ids;
  // One marker in each of several conversations, so that every lane is asked. A lane stores in the
  // order in which names were known.
  for (int i = 1; i <= marker_conversations; ++i) {
    ids.push_back(with_number(with_number("settle-", settlings_) + "-", i));
    person.publish("send/" + marker_name(i) + "/" + ids.back(), "marker");
  }
  for (const std::string& id : ids) person.expect("ack/" + id);
}

Ran Instance::parley(const std::vector<std::string>& arguments, const std::string& input) {
  Command command{.argv = {cli_program()}, .env = {{"PARLEY_CONFIG", config_path()}}};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  return run(command, input);
}

Command Instance::mosquitto(const std::string& tool,
                            const std::vector<std::string>& arguments) const {
  Command command{.argv = {tool, "-h", "127.0.0.1", "-p", std::to_string(port())}};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  return command;
}

std::vector<Row> Instance::stored_direct(const std::string& a, const std::string& b) {
  return database().query(
      "SELECT m.seq, m.body FROM messages m JOIN direct_pairs d USING (conversation_id),"
      " users x, users y WHERE x.name = $1 AND y.name = $2"
      " AND d.user_lo = least(x.user_id, y.user_id) AND d.user_hi = greatest(x.user_id, y.user_id)"
      " ORDER BY m.seq",
      {a, b});
}

std::vector<Row> Instance::stored_room(const std::string& room) {
  return database().query(
      "SELECT m.seq, m.body FROM messages m JOIN conversations c USING (conversation_id)"
      " WHERE c.name = $1 AND c.kind = 'room' ORDER BY m.seq",
      {room});
}

}  // namespace parley::test
