#include "worker/worker.hpp"

#include <asio/post.hpp>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/token.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::int64_t generations_page_size = 1'000;
constexpr std::int64_t expire_page_size = 1'000;
constexpr std::size_t contents_gone_max = 10'000;  // conversations that wait for being told
constexpr std::size_t contents_gone_at_once = 500;
constexpr std::int64_t stop_within_ms = 10'000;
constexpr std::int64_t plugin_silent_ms = 1'500;  // it says something once a second
constexpr std::size_t storing_is_pressed = 64;    // so many wait for being stored, at once
constexpr std::int64_t answered_by_ms = 200;      // an answer is at the client, if he is there
constexpr std::string_view service_name = "_worker";

/// A token for the worker itself; made anew for each connection, so that keys may be rotated.
std::string service_token(const Config& config) {
  const auto keys = load_key_file(config.broker.key_file);
  const Key* const key = keys ? keys->newest(true) : nullptr;
  if (key == nullptr) {
    log::error("event=no_service_key file={} err={}", config.broker.key_file,
               log::quoted(keys ? "it holds no active service key; run: parley key new --service"
                                : keys.error()));
    return "";
  }
  TokenClaims claims;
  claims.key_id = key->key_id;
  claims.scope = scope::service;
  return mint_token(claims, {config.broker.prefix, service_name, ""}, key->secret);
}

/// Who asks has been answered TIMEOUT before the database gives up.
std::uint32_t request_limit_ms(const Config& config) {
  return config.delivery.request_timeout_ms + 1'000;
}

/// Another one than earlier workers began with, most likely.
std::uint32_t any_number() {
  std::uint32_t number = 0;
  for (const auto byte : random_secret()) number = number * 31 + byte;
  return number;
}

std::string info_json(const Config& config, const std::string& server_epoch) {
  const auto& limits = config.limits;
  const nlohmann::ordered_json info{{"version", PARLEY_VERSION},
                                    {"protocol", 1},
                                    {"epoch", server_epoch},
                                    {"limits",
                                     {{"text_bytes_max", limits.text_bytes_max},
                                      {"payload_bytes_max", limits.payload_bytes_max},
                                      {"attachments_max", limits.attachments_max},
                                      {"mentions_max", limits.mentions_max},
                                      {"room_members_max", limits.room_members_max},
                                      {"publishes_per_s", limits.publishes_per_s},
                                      {"publish_burst", limits.publish_burst},
                                      {"typing_per_s", limits.typing_per_s},
                                      {"sync_messages_max", limits.sync_messages_max},
                                      {"state_conversations_max", state_conversations_max},
                                      {"state_people_max", state_people_max}}},
                                    {"formats", {"text", "json", "pb"}},
                                    {"endpoints", config.info.endpoints}};
  return info.dump();
}

}  // namespace

Worker::Worker(const Config& config, const sql::Claim& claim)
    : config_{config},
      claim_{claim},
      signals_{loop_, SIGTERM, SIGINT},
      minute_{loop_},
      second_{loop_},
      drain_{loop_},
      revoked_timer_{loop_},
      database_{loop_, "worker", config.database.uri, {&sql::listen_users}},
      attendance_{database_, sessions_, std::int64_t{config.presence.grace_ms},
                  [this](const auto& changes) {
                    state_.presence(changes);
                    presence_events_.add(changes);
                  }},
      positions_{{config.delivery.unconfirmed_max, config.delivery.redeliver_after_ms,
                  config.delivery.redeliver_max}},
      plugin_{loop_, config, mqtt_settings(), claim.epoch, plugin_handlers()},
      lanes_{loop_,    config.database.uri, config.database.lanes, claim.epoch,
             members_, lane_handlers()},
      indexer_{loop_, config.database.uri, config.search.configuration,
               [this] { return lanes_.waiting() > storing_is_pressed; }},
      names_{loop_, "names", config.database.uri},
      asked_{loop_, "requests", config.database.uri, {}, request_limit_ms(config)},
      searched_{loop_, "search", config.database.uri, {}, request_limit_ms(config)},
      seen_{loop_, "state", config.database.uri, {&sql::limit_statements}},
      resolver_{loop_, names_, members_},
      cursors_{loop_,
               config.database.uri,
               {[this](const Origin& origin) {
                  plugin_.done(origin);
                  turn();
                },
                [this](const std::vector<sql::MovedCursor>& moved) {
                  receipts_.moved(moved);
                  for (const auto& one : moved) {
                    if (one.read > one.old_read) state_.read(one.user, one.conversation);
                  }
                }}},
      backlogs_{loop_,
                {database_, seen_, plugin_, lanes_, cursors_, sessions_, auto_got_, positions_,
                 [this] { turn(); }},
                {config.limits.sync_messages_max, config.delivery, any_number()}},
      state_{loop_, {seen_, plugin_, sessions_, attendance_, [this] { turn(); }}},
      publisher_{plugin_, sessions_, backlogs_, state_},
      presence_events_{seen_, publisher_, [this] { turn(); }},
      typing_{loop_,
              config.broker.prefix,
              {database_, plugin_, resolver_, members_, publisher_, [this] { turn(); }}},
      receipts_{loop_, {database_, members_, publisher_, [this] { turn(); }}},
      syncs_{claim.server_epoch, {asked_, cursors_, backlogs_}},
      exports_{loop_, {searched_, plugin_, sessions_, publisher_, [this] { turn(); }}},
      specials_{{asked_, searched_, resolver_, config_, exports_}},
      requests_{
          loop_,
          config,
          {asked_, plugin_, lanes_, resolver_, publisher_, in_order_, attendance_, syncs_, cursors_,
           state_, specials_, [this] { push_generations_soon(); }, [this] { turn(); }}},
      chores_{loop_,
              config.database.uri,
              config.retention.days,
              {lanes_, [this](const Changed& changed) { requests_.tell(changed); },
               [this](ConversationId conversation) {
                 contents_gone(conversation);
                 tell_contents_gone();
               },
               [this] { turn(); }}},
      dispatch_{config,
                {plugin_, lanes_, resolver_, cursors_, sessions_, auto_got_, backlogs_, publisher_,
                 in_order_, requests_, [this] { return database_ahead_; }}} {}

MqttSettings Worker::mqtt_settings() const {
  const auto& prefix = config_.broker.prefix;
  MqttSettings settings;
  settings.host = config_.broker.host;
  settings.port = config_.broker.port;
  settings.user = service_name;
  settings.password = [this] { return service_token(config_); };
  // Not to be guessed: whoever held this id while the worker is away would keep it out.
  const auto chance = random_secret();
  std::string id = "_worker-" + std::to_string(claim_.epoch) + "-";
  for (std::size_t i = 0; i < 8; ++i) id += fmt::format("{:02x}", chance[i]);
  settings.client_ids = {id + "-in", id + "-out"};
  settings.filters = quiet_filters(prefix);
  settings.filters.push_back(inbound_topic(prefix));
  settings.filters.push_back(fence_topic(prefix));
  settings.will_topic = status_topic(prefix);
  settings.will_payload = "offline";
  return settings;
}

PluginLink::Handlers Worker::plugin_handlers() {
  PluginLink::Handlers handlers;
  handlers.record = [this](const Origin& origin, const std::string& record) {
    dispatch_.on_record(origin, record);
    turn();
  };
  handlers.typing = [this](const std::string& record) {
    typing_.take(record);
    turn();
  };
  handlers.session = [this](const link::SessionChange& change) {
    on_session(change);
    turn();
  };
  handlers.down = [this] {
    // Nothing is published now that a device could be taken to have got.
    auto_got_.clear();
    forget_sessions();
  };
  handlers.sessions_reset = [this] { forget_sessions(); };
  handlers.sessions_known = [this] {
    on_sessions_known();
    turn();  // the lanes have waited for it
  };
  handlers.storing = [this] { return lanes_.waiting() > 0; };
  handlers.welcome = [this] { on_welcome(); };
  handlers.superseded = [this] { end(Ending::superseded); };
  handlers.unusable = [this](const std::string& why) {
    log::error("event=broker_unusable err={}", log::quoted(why));
    end(Ending::unusable);
  };
  handlers.applied = [this] {
    backlogs_.applied();
    state_.applied();
    turn();
  };
  return handlers;
}

Lanes::Handlers Worker::lane_handlers() {
  Lanes::Handlers handlers;
  handlers.settled = [this](PendingSend& pending, const sql::StoreOutcome& outcome,
                            const Conversation* conversation) {
    stored_ = true;
    dispatch_.settled(pending, outcome, conversation);
    turn();
  };
  handlers.refused = [this](const PendingSend& pending, Code code, const std::string& detail) {
    dispatch_.refused(pending, code, detail);
    turn();
  };
  handlers.touched = [this](ConversationId conversation) { indexer_.touched(conversation); };
  handlers.superseded = [this] {
    log::error("event=superseded epoch={}", claim_.epoch);
    // If the other one is there, the plugin does not listen to this any more.
    plugin_.publish_retained(status_topic(config_.broker.prefix), "offline");
    end(Ending::superseded);
  };
  handlers.partition_missing = [this] { make_partitions(); };
  handlers.is_new = [this](const Origin& origin) { return plugin_.is_new(origin); };
  handlers.lost = [this] { forget_clock(); };
  handlers.connected = [this] { check_clock(); };
  // Until the sessions are known it would have to be published to everybody in every form.
  handlers.may_start = [this] {
    return plugin_.sessions_sure() && !plugin_.congested() && clock_state_ == Clock::good;
  };
  return handlers;
}

Ending Worker::run() {
  start();
  loop_.run();
  typing_.stop();
  receipts_.stop();
  exports_.stop();
  requests_.stop();
  state_.stop();
  plugin_.stop();
  return ending_;
}

void Worker::start() {
  signals_.async_wait([this](const asio::error_code& error, int) {
    if (!error) stop_gracefully();
  });
  database_.on_notify(
      [this](const std::string& channel, const std::string&) { on_notify(channel); });
  // What was notified while the connection was down is lost: look.
  database_.on_ready([this] {
    if (plugin_.is_up()) push_generations();
    check_clock();
  });
  database_.on_lost([this] { forget_clock(); });
  database_.start();
  names_.start();
  asked_.start();
  searched_.start();
  seen_.start();
  lanes_.start();
  indexer_.start();
  cursors_.start();
  plugin_.start();
  backlogs_.start();
  typing_.start();
  exports_.start();
  chores_.start();
  housekeeping();
  every_second();
}

void Worker::on_session(const link::SessionChange& change) {
  if (const auto* down = std::get_if<link::SessionDown>(&change)) {
    const bool told_all = backlogs_.told_all(down->session_no);
    backlogs_.drop(down->session_no);
    state_.drop(down->session_no);
    auto_got_.drop(down->session_no);
    const auto* known = sessions_.find(down->session_no);
    if (known == nullptr) return;
    const auto gone = *known;
    sessions_.down(down->session_no);
    if ((gone.feeds & feed::inbox_any) != 0) {
      attendance_.left(gone.user_id, gone.device, gone.keep_alive_s, told_all);
    }
    attendance_.changed(gone.user, gone.user_id);
    return;
  }
  const auto& session = std::get<link::Session>(change);
  const auto* const before = sessions_.find(session.session_no);
  const bool events_begin = before != nullptr && (before->feeds & feed::event_any) == 0 &&
                            (session.feeds & feed::event_any) != 0;
  sessions_.up(session);
  attendance_.changed(session.user, session.user_id);
  backlogs_.changed(session);
  if (events_begin) backlogs_.events_begin(session.session_no);
  state_.up(session);
}

void Worker::forget_sessions() {
  sessions_.clear();
  attendance_.lost_sight();
  backlogs_.lost_sight();
  state_.clear();
}

void Worker::on_sessions_known() {
  log::info("event=sessions_known count={}", sessions_.count());
  auto_got_.keep_only(
      [this](SessionNo session_no) { return sessions_.find(session_no) != nullptr; });
  backlogs_.forget_gone();
  for (const auto session_no : sessions_.all()) {
    const auto* session = sessions_.find(session_no);
    if (!session->syncing && !auto_got_.follows(session_no)) backlogs_.follow(session_no);
  }
}

void Worker::on_welcome() {
  announce();
  push_generations();
}

void Worker::announce() {
  plugin_.publish_retained(info_topic(config_.broker.prefix),
                           info_json(config_, claim_.server_epoch));
  plugin_.publish_retained(status_topic(config_.broker.prefix), degraded_ ? "degraded" : "online");
}

void Worker::check_clock() {
  if (std::exchange(checking_clock_, true)) return;
  std::vector<PgQuery> queries{sql::database_clock()};
  if (!newest_known_) queries.push_back(sql::newest_message());
  database_.submit(std::move(queries), [this, asked_at = wall_now()](const auto& result) {
    checking_clock_ = false;
    if (std::exchange(clock_stale_, false)) {
      if (database_.ready()) check_clock();
      return;
    }
    if (!result) return;
    const auto database = sql::database_clock_of(result->at(0));
    if (result->size() > 1) clock_.newest(sql::newest_message_of(result->at(1)));
    newest_known_ = true;
    // As little as it can be: it was read between asking and the answer.
    const auto least = database.value - wall_now().value;
    const auto most = database.value - asked_at.value;
    database_ahead_ = std::max<std::int64_t>(least, 0) + std::min<std::int64_t>(most, 0);
    const bool off = clock_.is_off(database, wall_now());
    if (!off && std::exchange(stored_, false)) clock_.newest(database);
    const auto before = std::exchange(clock_state_, off ? Clock::off : Clock::good);
    if (before != clock_state_) {
      if (off) {
        log::error("event=clock_off database_ms={} own_ms={} note=\"nothing is stored\"",
                   database.value, wall_now().value);
      } else {
        if (before == Clock::off) log::info("event=clock_back");
        make_partitions();
      }
      turn();  // the lanes have waited for it
    }
    tell_status();
  });
}

/// The database, or its host, may come back with another clock.
void Worker::forget_clock() {
  // One that is off stays so until it is seen to be good: that is what the status says.
  if (clock_state_ == Clock::good) clock_state_ = Clock::unknown;
  clock_stale_ = checking_clock_;
}

/// "degraded" exactly while messages wait for the operator: for a clock, or for a partition.
void Worker::tell_status() {
  const bool degraded = clock_state_ == Clock::off || lanes_.no_partition();
  if (degraded == std::exchange(degraded_, degraded)) return;
  if (degraded && clock_state_ != Clock::off) {
    log::error("event=no_partition note=\"there is none for now: nothing is stored\"");
  }
  if (plugin_.is_up()) announce();
}

void Worker::on_notify(const std::string& channel) {
  if (channel == "parley_users") push_generations();
}

void Worker::push_generations() {
  if (pushing_generations_) {
    generations_changed_ = true;  // once more when this one is through
    return;
  }
  pushing_generations_ = true;
  generations_changed_ = false;
  generations_from(UserId{0}, "", true);
}

/// Whoever has revoked his own token hears first that it is done. If this is lost with the worker,
/// the next one tells the plugin.
void Worker::push_generations_soon() {
  if (std::exchange(pushing_soon_, true)) return;  // not later because others revoke, too
  revoked_timer_.expires_after(std::chrono::milliseconds{answered_by_ms});
  revoked_timer_.async_wait([this](const asio::error_code& error) {
    pushing_soon_ = false;
    if (!error) push_generations();
  });
}

void Worker::generations_from(UserId after_user, const std::string& after_device, bool first) {
  database_.submit({sql::generations_page(after_user, after_device, generations_page_size)},
                   [this, first](auto result) {
                     if (!result) {
                       pushing_generations_ = false;
                       generations_changed_ = true;  // housekeeping tries again
                       return;
                     }
                     auto page = sql::generations_of(result->at(0));
                     const bool last =
                         static_cast<std::int64_t>(page.size()) < generations_page_size;
                     const auto next_user = page.empty() ? UserId{0} : page.back().user_id;
                     const auto next_device = page.empty() ? std::string{} : page.back().device;
                     plugin_.generations(std::move(page), first, last);
                     turn();
                     if (!last) {
                       generations_from(next_user, next_device, false);
                       return;
                     }
                     pushing_generations_ = false;
                     if (std::exchange(generations_changed_, false)) push_generations();
                   });
}

void Worker::housekeeping() {
  // One that waits for the database is enough: it may be away for days.
  if (database_.waiting() < 10) make_partitions();
  if (plugin_.is_up() && generations_changed_) push_generations();
  if (const auto dropped = plugin_.dropped_frames(); dropped != dropped_frames_) {
    log::warn("event=frames_dropped count={}", dropped - dropped_frames_);
    dropped_frames_ = dropped;
  }
  minute_.expires_after(std::chrono::minutes{1});
  minute_.async_wait([this](const asio::error_code& error) {
    if (!error) housekeeping();
  });
}

/// For now and the months to come. Not by a clock that is wrong: they would stay for ever.
void Worker::make_partitions() {
  if (clock_state_ != Clock::good) return;
  database_.submit({sql::make_partitions()}, [](const auto& result) {
    if (!result) log::error("event=partitions_failed err={}", log::quoted(result.error().what));
  });
}

void Worker::auto_got() {
  if (!plugin_.is_up()) auto_got_.clear();
  // While the broker stands still nobody can tell which sessions are up.
  const auto now = mono_now();
  const std::int64_t passed_ms = now.value - std::exchange(auto_got_at_, now).value;
  if (now.value - plugin_.heard_at().value > plugin_silent_ms) {
    auto_got_.postpone(passed_ms);
    return;
  }
  for (const auto& due : auto_got_.due(now)) {
    sql::MarkUpdate update;
    update.user = due.user;
    update.device = due.device;
    update.conversation = due.conversation;
    update.got_seq = due.seq;
    update.got_rev = due.rev;
    if (due.seq == 0) {
      cursors_.raise(update);
      continue;
    }
    if (const auto* session = sessions_.find(due.session_no); session != nullptr) {
      backlogs_.begin_devices(session->user);
    }
    cursors_.raise(update);
    backlogs_.got(due.session_no, due.conversation, due.seq, false);
  }
}

/// Page by page, until there is nothing more; not faster than others get their turn.
void Worker::expire_messages() {
  expiring_ = true;
  database_.submit({sql::expire_messages(expire_page_size)}, [this](const auto& result) {
    expiring_ = false;
    if (!result) {
      log::warn("event=expire_failed err={}", log::quoted(result.error().what));
      return;
    }
    const auto expired = sql::expired_of(result->at(0));
    if (expired.messages >= expire_page_size && database_.waiting() < 10) expire_messages();
    for (const auto conversation : expired.conversations) contents_gone(conversation);
    tell_contents_gone();
  });
}

/// For the state topics: devices are not told of each message.
void Worker::contents_gone(ConversationId conversation) {
  // Beyond that it is told when something else changes there.
  if (contents_gone_.size() < contents_gone_max) contents_gone_.insert(conversation);
}

void Worker::tell_contents_gone() {
  if (contents_gone_.empty() || telling_contents_gone_) return;
  const auto viewers = state_.users();
  if (viewers.empty()) {
    contents_gone_.clear();  // who comes is told how it is then
    return;
  }
  telling_contents_gone_ = true;
  std::vector<ConversationId> some;  // the others in the next second
  while (!contents_gone_.empty() && some.size() < contents_gone_at_once) {
    some.push_back(contents_gone_.extract(contents_gone_.begin()).value());
  }
  seen_.submit({sql::members_among(some, viewers)}, [this](const auto& members) {
    telling_contents_gone_ = false;
    if (members) {
      state_.contents_gone(sql::members_among_of(members->at(0)));
    } else {
      log::warn("event=contents_gone_failed err={}", log::quoted(members.error().what));
    }
  });
}

void Worker::every_second() {
  auto_got();
  attendance_.write();
  presence_events_.tell();
  state_.every_second();
  if (database_.ready() && database_.waiting() < 10) {
    if (!expiring_) expire_messages();
    check_clock();
  }
  tell_contents_gone();
  second_.expires_after(std::chrono::seconds{1});
  second_.async_wait([this](const asio::error_code& error) {
    if (!error) every_second();
  });
}

void Worker::turn() {
  if (std::exchange(turn_open_, true)) return;
  asio::post(loop_, [this] { end_turn(); });
}

void Worker::end_turn() {
  turn_open_ = false;
  resolver_.flush();
  cursors_.end_turn(plugin_.credit_short());
  lanes_.pump();
  plugin_.flush();
}

void Worker::stop_gracefully() {
  if (std::exchange(stopping_, true)) return;
  log::info("event=stopping");
  stop_deadline_ = {mono_now().value + stop_within_ms};
  // Under steady traffic there would be something waiting at every moment.
  plugin_.take_no_more();
  when_drained();
}

/// What has been taken is finished, as far as that is possible soon; the spool keeps the rest.
void Worker::when_drained() {
  cursors_.flush();
  // What may not be stored now is in the spool.
  const bool lanes_rest =
      lanes_.waiting() == 0 || clock_state_ == Clock::off || lanes_.no_partition();
  const bool drained = lanes_rest && cursors_.idle() && plugin_.drained();
  if (drained || !plugin_.is_up() || mono_now() >= stop_deadline_) {
    plugin_.publish_retained(status_topic(config_.broker.prefix), "offline");
    log::info("event=stopped drained={}", drained);
    end(Ending::stopped);
    return;
  }
  drain_.expires_after(std::chrono::milliseconds{20});
  drain_.async_wait([this](const asio::error_code& error) {
    if (!error) when_drained();
  });
}

void Worker::end(Ending ending) {
  ending_ = ending;
  loop_.stop();
}

}  // namespace parley
