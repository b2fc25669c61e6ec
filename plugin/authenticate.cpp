// Who is it, and whose is the client id (docs/protocol.md, "CONNECT").

#include "core/names.hpp"
#include "core/token.hpp"
#include "plugin/plugin.hpp"

namespace parley::plugin {
namespace {

struct Refusal {
  Code code;
  std::string_view why;
};

void log_refusal(Plugin& plugin, const mosquitto* client, std::string_view user,
                 const Refusal& refusal, const char* event) {
  ++plugin.counters.logins_refused;
  if (!plugin.refusal_logs.take(read_clocks().mono)) return;
  log_warning(std::string{"event="} + event + " user=" + quoted(user) + " client=" +
              quoted(client_id(client)) + " address=" + quoted(client_address(client)) +
              " code=" + std::string{to_string(refusal.code)} + " why=" + std::string{refusal.why});
}

/// Whether the login is meant for us.
bool is_ours(const mosquitto_evt_basic_auth& event) {
  if (event.password != nullptr && looks_like_token(event.password)) return true;
  return event.username != nullptr && event.username[0] == '_';
}

Connection read_connection(const mosquitto* client) {
  Connection connection;
  connection.client_id = SharedText{client_id(client)};
  connection.clean = mosquitto_client_clean_session(client);
  connection.protocol_version =
      static_cast<std::uint8_t>(mosquitto_client_protocol_version(client));
  connection.keep_alive_s = static_cast<std::uint16_t>(mosquitto_client_keepalive(client));
  return connection;
}

Result<Identity, Refusal> identify(Plugin& plugin, const mosquitto_evt_basic_auth& event) {
  const std::string_view user = event.username == nullptr ? "" : event.username;
  const std::string_view password = event.password == nullptr ? "" : event.password;
  const auto checked = check_token(password, plugin.options.prefix, user, client_id(event.client),
                                   plugin.keys, unix_seconds(read_clocks()));
  if (!checked) return failed(Refusal{checked.error(), "token"});
  const TokenClaims& claims = checked->claims;
  const bool service = (claims.scope & scope::service) != 0;
  if (service && !is_service_address(plugin.options, client_address(event.client))) {
    return failed(Refusal{Code::forbidden, "service_address"});
  }
  Identity identity{plugin.owners.shared_name(user),
                    claims.user_id,
                    claims.scope,
                    claims.expires_at,
                    claims.generation,
                    checked->bound_to_device};
  return identity;
}

/// @param proved  Identity, or the Session that it became
template <class Proved>
bool allows(const Plugin& plugin, const Proved& proved, std::string_view device) {
  if ((proved.scope & scope::service) != 0) return true;
  return plugin.revocations.list().allows(
      {proved.user_id, device, proved.bound, proved.generation});
}

std::uint32_t device_generation(const Plugin& plugin, const Session& session) {
  return plugin.revocations.list().device_generation(session.user_id, session.device());
}

/// A connection that is known already: the broker asks again after a reload. Its state stays as it
/// is.
int check_again(Plugin& plugin, Session& session, const Result<Identity, Refusal>& identity) {
  if (identity && allows(plugin, *identity, session.device())) {
    plugin.sessions.renew(session, *identity);
    return MOSQ_ERR_SUCCESS;
  }
  if (session.life == Life::dead) {
    // The broker keeps a session for someone who is not connected. To refuse that would make 2.0
    // disconnect him a second time, which leaves a dangling entry in its list of sessions to
    // expire.
    session.doomed = true;
    return MOSQ_ERR_SUCCESS;
  }
  return MOSQ_ERR_AUTH;
}

std::optional<Refusal> object(Plugin& plugin, const mosquitto* client, const Identity& identity,
                              const Connection& connection) {
  const std::string_view user = identity.user.view();
  const std::string_view id = connection.client_id.view();
  const auto named = parse_device_client_id(id);
  const std::string_view device = named && named->name == user ? named->device : std::string_view{};
  if (!allows(plugin, identity, device)) return Refusal{Code::bad_token, "revoked"};
  const auto objection = plugin.owners.judge_user(user, id, connection.clean, client);
  if (objection) return Refusal{Code::bad_client_id, to_string(*objection)};
  return std::nullopt;
}

int login_user(Plugin& plugin, const mosquitto_evt_basic_auth& event) {
  const std::string_view user = event.username == nullptr ? "" : event.username;
  // The loop ticks before it reads the first CONNECT. No tick means that it never will: then
  // nothing would ever be sent, and what other listeners do would not be seen.
  if (plugin.ticks == 0) {
    if (plugin.alarm_logs.take(read_clocks().mono)) {
      log_error(
          "event=no_ticks note=\"per_listener_settings must be false: every login of ours is "
          "refused\"");
    }
    log_refusal(plugin, event.client, user, {Code::unavailable, "no_ticks"}, "login_refused");
    return MOSQ_ERR_AUTH;
  }
  const auto identity = identify(plugin, event);
  Session* known = plugin.sessions.find(event.client);
  if (known != nullptr && known->client_id.view() == client_id(event.client) &&
      (plugin.rechecking || known->life != Life::dead)) {
    const int result = check_again(plugin, *known, identity);
    if (result != MOSQ_ERR_SUCCESS) {
      log_refusal(plugin, event.client, user,
                  identity ? Refusal{Code::bad_token, "revoked"} : identity.error(),
                  "login_refused");
    }
    return result;
  }
  if (known != nullptr) on_disconnect(plugin, event.client);
  if (!identity) {
    log_refusal(plugin, event.client, user, identity.error(), "login_refused");
    return MOSQ_ERR_AUTH;
  }
  Connection connection = read_connection(event.client);
  if (const auto objection = object(plugin, event.client, *identity, connection)) {
    log_refusal(plugin, event.client, user, *objection, "login_refused");
    return MOSQ_ERR_AUTH;
  }
  plugin.owners.hold(event.client, connection.client_id, identity->user);
  Session& session =
      plugin.sessions.login(const_cast<mosquitto*>(event.client), *identity, std::move(connection));
  learn_device_generation(plugin, session);
  ++plugin.counters.logins;
  if (session.is_service()) {
    plugin.link.on_service_changed();
  } else {
    plugin.owners_file.learn_name(session.user->name);
  }
  return MOSQ_ERR_SUCCESS;
}

int login_foreign(Plugin& plugin, const mosquitto_evt_basic_auth& event) {
  const int answer =
      plugin.options.foreign_auth == Foreign::allow ? MOSQ_ERR_SUCCESS : MOSQ_ERR_PLUGIN_DEFER;
  const std::string_view id = client_id(event.client);
  // Asked again after a reload: what it holds, it holds.
  if (plugin.rechecking && plugin.sessions.find(event.client) == nullptr) return answer;
  if (const auto objection = plugin.owners.judge_foreign(id, event.client)) {
    log_refusal(plugin, event.client, event.username == nullptr ? "" : event.username,
                {Code::bad_client_id, to_string(*objection)}, "foreign_login_refused");
    return MOSQ_ERR_AUTH;
  }
  // The broker may use the pointer of a session of ours that is over.
  on_disconnect(plugin, event.client);
  plugin.sessions.forget(event.client);
  plugin.owners.hold(event.client, SharedText{id}, {});
  plugin.foreign_logins.push_back(event.client);
  return answer;
}

}  // namespace

bool is_allowed(const Plugin& plugin, const Session& session) {
  if (!allows(plugin, session, session.device())) return false;
  return !session.has_device_generation ||
         device_generation(plugin, session) <= session.device_generation;
}

void learn_device_generation(const Plugin& plugin, Session& session) {
  if (session.has_device_generation || !session.is_device || session.is_service()) return;
  // Without a list the least is taken: a list that comes later may tell of a removal since, and who
  // is dropped for an older one only comes back.
  session.device_generation = device_generation(plugin, session);
  session.has_device_generation = true;
}

Session* session_of(Plugin& plugin, const mosquitto* client) {
  Session* session = plugin.sessions.find(client);
  if (session == nullptr || session->life != Life::dead) return session;
  const char* const user = mosquitto_client_username(client);
  const bool same = session->client_id.view() == client_id(client) &&
                    (user == nullptr || session->name() == user);
  return same ? session : nullptr;
}

int on_basic_auth(Plugin& plugin, const mosquitto_evt_basic_auth& event) {
  return is_ours(event) ? login_user(plugin, event) : login_foreign(plugin, event);
}

void on_disconnect(Plugin& plugin, const mosquitto* client) {
  plugin.owners.let_go(client);
  Session* session = plugin.sessions.find(client);
  if (session == nullptr) return;
  plugin.sessions.disconnect(*session);
  if (session->is_service()) plugin.link.on_gone(*session);
}

void on_reload(Plugin& plugin) {
  plugin.rechecking = true;
  auto keys = load_key_file(plugin.options.key_file);
  if (keys) {
    plugin.keys = std::move(*keys);
    log_info("event=keys_loaded count=" + std::to_string(plugin.keys.keys().size()));
  } else {
    log_error("event=keys_not_loaded err=" + quoted(keys.error()) + " note=\"the old ones stay\"");
  }
}

}  // namespace parley::plugin
