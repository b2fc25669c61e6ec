#include "core/client_owners.hpp"

#include <algorithm>
#include <charconv>

#include "core/crc32c.hpp"
#include "core/names.hpp"

namespace parley {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

/// Client ids may hold anything; a line must stay a line.
std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && c != '%') {
      out += c;
    } else {
      out += {'%', hex_digits[byte >> 4U], hex_digits[byte & 0xFU]};
    }
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const std::size_t high = hex_digits.find(text[i + 1]);
    const std::size_t low = hex_digits.find(text[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

template <class Condition>
bool ClientOwners::any_holds(std::string_view client_id, Condition&& condition) const {
  const Hold* latest = latest_.find(client_id);
  if (latest == nullptr) return false;
  if (condition(*latest)) return true;
  const auto former = former_.find(client_id);
  return former != former_.end() && std::any_of(former->second.begin(), former->second.end(),
                                                [&](const Hold* hold) { return condition(*hold); });
}

std::optional<ClientOwners::Objection> ClientOwners::judge_user(std::string_view user,
                                                                std::string_view client_id,
                                                                bool clean, Holder who) const {
  const auto device = parse_device_client_id(client_id);
  if (device && device->name != user) return Objection::device_of_another;
  if (!device && !clean) return Objection::persistent_not_device;
  const auto is_other = [&](const Hold& hold) {
    return hold.who != who && hold.user.view() != user;
  };
  if (any_holds(client_id, is_other)) return Objection::held_by_another;
  if (foreign_.find(client_id) != foreign_.end()) return Objection::foreign_session;
  return std::nullopt;
}

std::optional<ClientOwners::Objection> ClientOwners::judge_foreign(std::string_view client_id,
                                                                   Holder who) const {
  const auto is_ours = [&](const Hold& hold) { return hold.who != who && !hold.user.empty(); };
  if (any_holds(client_id, is_ours)) return Objection::held_by_another;
  // A session that was there before the name became one of ours stays who it is.
  if (foreign_.find(client_id) != foreign_.end()) return std::nullopt;
  const auto device = parse_device_client_id(client_id);
  if (device && names_.find(device->name)) return Objection::device_of_another;
  return std::nullopt;
}

void ClientOwners::hold(Holder who, SharedText client_id, SharedText user) {
  let_go(who);
  auto hold = std::make_unique<Hold>(Hold{who, std::move(client_id), std::move(user)});
  if (const Hold* before = latest_.find(hold->client_id.view()); before != nullptr) {
    former_[std::string{hold->client_id.view()}].push_back(before);
    latest_.replace(hold.get());
  } else {
    latest_.insert(hold.get());
  }
  holds_.insert(std::move(hold));
}

void ClientOwners::let_go(Holder who) {
  const auto gone = holds_.extract(who);
  if (!gone) return;
  const std::string_view client_id = gone->client_id.view();
  const auto former = former_.find(client_id);
  if (former == former_.end()) {
    latest_.extract(client_id);
    return;
  }
  if (latest_.find(client_id) == gone.get()) {
    latest_.replace(former->second.back());
    former->second.pop_back();
  } else {
    std::erase(former->second, gone.get());
  }
  if (former->second.empty()) former_.erase(former);
}

bool ClientOwners::is_latest(Holder who) const {
  const auto& hold = holds_.find(who);
  return hold && latest_.find(hold->client_id.view()) == hold.get();
}

std::string_view ClientOwners::held_by(Holder who) const {
  const auto& hold = holds_.find(who);
  return hold ? hold->client_id.view() : std::string_view{};
}

SharedText ClientOwners::shared_name(std::string_view name) const {
  const SharedText& known = names_.find(name);
  return known ? known : SharedText{name};
}

bool ClientOwners::learn_name(const SharedText& name) {
  if (name.empty() || names_.find(name.view()) || names_.size() >= names_max) return false;
  names_.insert(name);
  return true;
}

bool ClientOwners::learn_foreign_session(std::string_view client_id) {
  if (foreign_.find(client_id) != foreign_.end()) return false;
  while (foreign_.size() >= foreign_sessions_max && !foreign_order_.empty()) {
    const auto& [turn, oldest] = foreign_order_.front();
    const auto found = foreign_.find(oldest);
    if (found != foreign_.end() && found->second == turn) foreign_.erase(found);
    foreign_order_.pop_front();
  }
  foreign_.emplace(client_id, ++turn_);
  foreign_order_.emplace_back(turn_, client_id);
  // Sessions that come and go leave their places in the order behind.
  if (foreign_order_.size() > 2 * foreign_.size() + 1'000) {
    std::erase_if(foreign_order_, [this](const auto& place) {
      const auto found = foreign_.find(place.second);
      return found == foreign_.end() || found->second != place.first;
    });
  }
  return true;
}

bool ClientOwners::forget_foreign_session(std::string_view client_id) {
  const auto found = foreign_.find(client_id);
  if (found == foreign_.end()) return false;
  foreign_.erase(found);
  return true;
}

std::string ClientOwners::line(char sort, std::string_view text) {
  std::string line{sort, ' '};
  line += escaped(text);
  line += ' ';
  return line + std::to_string(crc32c(line)) + '\n';
}

bool ClientOwners::read_line(std::string_view line) {
  const std::size_t last_space = line.rfind(' ');
  if (last_space == std::string_view::npos || last_space < 3 || line[1] != ' ') return false;
  const std::string_view sum = line.substr(last_space + 1);
  std::uint32_t crc = 0;
  const auto [end, error] = std::from_chars(sum.data(), sum.data() + sum.size(), crc);
  if (error != std::errc{} || end != sum.data() + sum.size()) return false;
  if (crc != crc32c(line.substr(0, last_space + 1))) return false;
  const auto text = unescaped(line.substr(2, last_space - 2));
  if (!text || text->empty()) return false;
  switch (line[0]) {
    case name_line:
      learn_name(SharedText{*text});
      return true;
    case foreign_line:
      learn_foreign_session(*text);
      return true;
    case forget_line:
      forget_foreign_session(*text);
      return true;
    default:
      return false;
  }
}

std::string ClientOwners::render() const {
  std::string text;
  names_.for_each([&](const SharedText& name) { text += line(name_line, name.view()); });
  std::vector<std::pair<std::uint64_t, std::string_view>> order;
  order.reserve(foreign_.size());
  for (const auto& [id, turn] : foreign_) order.emplace_back(turn, id);
  std::sort(order.begin(), order.end());
  for (const auto& [turn, id] : order) text += line(foreign_line, id);
  return text;
}

std::string_view to_string(ClientOwners::Objection objection) {
  switch (objection) {
    case ClientOwners::Objection::device_of_another:
      return "device_of_another";
    case ClientOwners::Objection::held_by_another:
      return "held_by_another";
    case ClientOwners::Objection::foreign_session:
      return "foreign_session";
    case ClientOwners::Objection::persistent_not_device:
      return "persistent_not_device";
  }
  return "";
}

}  // namespace parley
