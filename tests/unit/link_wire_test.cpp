#include <doctest/doctest.h>

#include <string>

#include "core/link.hpp"
#include "tests/unit/golden.hpp"

namespace parley::link {
namespace {

InboundRecord full_record() {
  InboundRecord record;
  record.received_at = UnixMillis{1'795'302'062'120};
  record.user = "alice";
  record.user_id = UserId{7};
  record.session_no = 9;
  record.client_id = "alice.phone";
  record.device = "phone";
  record.scope = 255;
  record.flags = record_flag::mqtt5 | record_flag::will;
  record.topic_rest = "send.json/bob/id1";
  record.payload = std::string{"\0\xff payload", 10};
  record.properties = {{"a", "1"}, {"a", ""}, {"", "2"}};
  record.response_topic = "im/u/alice/rr/1";
  record.correlation_data = std::string{"\0\x01", 2};
  record.refused = Code::rate_limited;
  record.token_generation = 5;
  record.device_generation = 0;
  return record;
}

Session full_session() {
  Session session;
  session.session_no = 9;
  session.user = "alice";
  session.user_id = UserId{7};
  session.client_id = "alice.phone";
  session.device = "phone";
  session.feeds = 0xFFFF;
  session.inbox_convs = {"bob", "ops"};
  session.keep_alive_s = 60;
  session.protocol_version = 5;
  session.syncing = true;
  session.sync_no = 5;
  session.hold_no = 65'540;
  session.scope = 7;
  session.state_filters = {{"conv/+", 3}, {"\xff", 0xFFFF'FFFF}};
  return session;
}

PluginFrame full_plugin_frame() {
  PluginFrame frame;
  frame.spool_id = ~std::uint64_t{0};
  frame.worker_epoch = 2;
  frame.applied_batch_no = 3;
  frame.session_change_no = 4;
  frame.batch = InboundBatch{5, {{6, encode(full_record())}, {8, ""}}};
  frame.sessions = SessionBatch{7, {full_session(), SessionDown{11}}, true, false, true};
  frame.welcome = Welcome{1, 9, true, 12, std::string(1000, '\xff'), true};
  frame.resume_batch_no = 10;
  return frame;
}

WorkerFrame full_worker_frame() {
  Delivery shared{{"bob", "carol"}, "inbox/alice", "hi", 1, 0, {{"from", "alice"}}, std::nullopt};
  Delivery answer{{"alice"}, "rr/1", "stored 2", 0, 9, {}, std::string{}};
  OutboundBatch batch;
  batch.batch_no = 4;
  batch.generations = {{UserId{7}, "phone", 3, true}, {UserId{8}, "", 0xFFFFFFFF, false}};
  batch.generations_first = true;
  batch.deliveries = {shared, answer};
  batch.sync_done = {{1, 1}, {2, 7}, {3, 1}};
  batch.holds = {{4, 65'537}};
  batch.commit = Commit{5, {{7, 8}, {10, 10}}};
  WorkerFrame frame;
  frame.worker_epoch = 1;
  frame.spool_id = 2;
  frame.received_ingest_no = 3;
  frame.hello = Hello{"_parley-rx", 4096, 1 << 20, std::string(1000, 'x')};
  frame.batch = batch;
  frame.last_batch_no = 5;
  frame.resume_ingest_no = 6;
  frame.want_sessions = true;
  frame.collect_ms = 4;
  return frame;
}

}  // namespace

TEST_CASE("link: a record is read back as it was") {
  const InboundRecord record = full_record();
  const auto again = decode_record(encode(record));
  REQUIRE(again);
  CHECK(encode(*again) == encode(record));
  CHECK(again->received_at == record.received_at);
  CHECK(again->user == "alice");
  CHECK(again->user_id == UserId{7});
  CHECK(again->session_no == 9);
  CHECK(again->client_id == "alice.phone");
  CHECK(again->device == "phone");
  CHECK(again->scope == 255);
  CHECK(again->flags == record.flags);
  CHECK(again->topic_rest == record.topic_rest);
  CHECK(again->payload == record.payload);
  CHECK(again->properties == record.properties);
  CHECK(again->response_topic == record.response_topic);
  CHECK(again->correlation_data == record.correlation_data);
  CHECK(again->refused == Code::rate_limited);
  CHECK(again->token_generation == 5);
  CHECK(again->device_generation == 0U);
}

TEST_CASE("link: correlation data that is empty is not the same as none") {
  InboundRecord record;
  CHECK_FALSE(decode_record(encode(record))->correlation_data);
  record.correlation_data = "";
  CHECK(decode_record(encode(record))->correlation_data == "");
  CHECK_FALSE(decode_record(encode(record))->refused);
  CHECK_FALSE(decode_record(encode(record))->device_generation);
}

TEST_CASE("link: what a client wrote need not be UTF-8 to arrive") {
  InboundRecord record = full_record();
  record.client_id = record.topic_rest = record.response_topic = "\xff\xfe";
  record.properties = {{"\x80", "\xed\xa0\x80"}};
  const auto again = decode_record(encode(record));
  REQUIRE(again);
  CHECK(again->topic_rest == "\xff\xfe");
  CHECK(again->properties == record.properties);
}

TEST_CASE("link: a plugin frame is read back as it was") {
  const PluginFrame frame = full_plugin_frame();
  const auto again = decode_plugin_frame(encode(frame));
  REQUIRE(again);
  CHECK(encode(*again) == encode(frame));
  CHECK(again->spool_id == frame.spool_id);
  REQUIRE(again->batch);
  CHECK(again->batch->after == 5);
  REQUIRE(again->batch->records.size() == 2);
  CHECK(again->batch->records[0].record == encode(full_record()));
  CHECK(again->batch->records[1].ingest_no == 8);
  REQUIRE(again->sessions);
  REQUIRE(again->sessions->changes.size() == 2);
  const auto& session = std::get<Session>(again->sessions->changes[0]);
  CHECK(session.inbox_convs == full_session().inbox_convs);
  CHECK(session.syncing);
  CHECK(session.sync_no == 5);
  CHECK(session.hold_no == 65'540);
  CHECK(session.scope == 7);
  CHECK(session.state_filters == full_session().state_filters);
  CHECK(std::get<SessionDown>(again->sessions->changes[1]).session_no == 11);
  CHECK(again->sessions->snapshot);
  CHECK(again->sessions->last_part);
  REQUIRE(again->welcome);
  CHECK(again->welcome->obeyed_epoch == 12);
  CHECK(again->welcome->padding.size() == 1000);
  CHECK(again->welcome->generations_known);
  CHECK(again->resume_batch_no == 10);
}

TEST_CASE("link: a worker frame is read back as it was") {
  const WorkerFrame frame = full_worker_frame();
  const auto again = decode_worker_frame(encode(frame));
  REQUIRE(again);
  CHECK(encode(*again) == encode(frame));
  REQUIRE(again->hello);
  CHECK(again->hello->receive_client_id == "_parley-rx");
  CHECK(again->hello->credit_bytes == 1 << 20);
  REQUIRE(again->batch);
  CHECK(again->batch->generations_first);
  CHECK_FALSE(again->batch->generations_last);
  CHECK(again->batch->generations[0].disabled);
  CHECK(again->batch->generations[1].generation == 0xFFFFFFFF);
  REQUIRE(again->batch->deliveries.size() == 2);
  CHECK(again->batch->deliveries[0].to == std::vector<std::string>{"bob", "carol"});
  CHECK_FALSE(again->batch->deliveries[0].correlation_data);
  CHECK(again->batch->deliveries[1].correlation_data == "");
  CHECK(again->batch->deliveries[1].session_no == 9);
  CHECK(again->batch->sync_done == std::vector<SyncDone>{{1, 1}, {2, 7}, {3, 1}});
  CHECK(again->batch->holds == std::vector<Hold>{{4, 65'537}});
  REQUIRE(again->batch->commit);
  CHECK(again->batch->commit->above == frame.batch->commit->above);
  CHECK(again->want_sessions);
  CHECK(again->collect_ms == 4);
}

TEST_CASE("link: parts that are absent stay absent") {
  const auto plugin = decode_plugin_frame(encode(PluginFrame{}));
  REQUIRE(plugin);
  CHECK_FALSE(plugin->batch);
  CHECK_FALSE(plugin->sessions);
  CHECK_FALSE(plugin->welcome);
  const auto worker = decode_worker_frame(encode(WorkerFrame{}));
  REQUIRE(worker);
  CHECK_FALSE(worker->hello);
  CHECK_FALSE(worker->batch);
  WorkerFrame with_batch;
  with_batch.batch.emplace();
  CHECK_FALSE(decode_worker_frame(encode(with_batch))->batch->commit);
  PluginFrame with_sessions;
  with_sessions.sessions.emplace();
  CHECK(decode_plugin_frame(encode(with_sessions))->sessions);
}

TEST_CASE("link: garbage is not a frame") {
  for (const std::string bytes :
       {"\xff", "\xff\xff\xff\xff", "\x0a", "\x0a\xff", "hello", "\x2a\x05x"}) {
    CAPTURE(test::to_hex(bytes));
    CHECK_FALSE(decode_record(bytes));
    CHECK_FALSE(decode_plugin_frame(bytes));
    CHECK_FALSE(decode_worker_frame(bytes));
  }
}

TEST_CASE("link: values out of range are not a frame") {
  // The field `refused` (14) with a word that no code has.
  CHECK_FALSE(decode_record("\x72\x04NOPE"));
  CHECK(decode_record("\x72\x04"
                      "BUSY")
            ->refused == Code::busy);
  // The field `scope` (7) beyond a byte.
  CHECK_FALSE(decode_record(std::string{"\x38\x80\x02", 3}));
  CHECK(decode_record(std::string{"\x38\xff\x01", 3})->scope == 255);
  // A session change without content: sessions (6) { changes (2) {} }.
  CHECK_FALSE(decode_plugin_frame(std::string{"\x32\x02\x12\x00", 4}));
  // A range of a commit that ends before it begins.
  WorkerFrame frame = full_worker_frame();
  frame.batch->commit->above = {{9, 8}};
  CHECK_FALSE(decode_worker_frame(encode(frame)));
}

TEST_CASE("link: damaged frames are dropped or read, never worse") {
  test::Chance chance{42};
  const std::string record = encode(full_record());
  const std::string plugin = encode(full_plugin_frame());
  const std::string worker = encode(full_worker_frame());
  for (int i = 0; i < 5000; ++i) {
    (void)decode_record(test::damaged(record, chance));
    (void)decode_plugin_frame(test::damaged(plugin, chance));
    (void)decode_worker_frame(test::damaged(worker, chance));
  }
  for (std::size_t cut = 1; cut < record.size(); ++cut) (void)decode_record(record.substr(0, cut));
}

}  // namespace parley::link
