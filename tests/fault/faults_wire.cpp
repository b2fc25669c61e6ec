// Connections of the worker that are cut, freeze and get slow.
#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

using test::Proxy;

constexpr test::Milliseconds slow_wire{40};
/// What the worker sends before the rows of a batch: the name of its statement.
constexpr const char* storing = "store_messages";

struct Wire {
  std::string name;
  std::string what;
  Part part;
  Proxy& (*proxy)(Arena&);
};

const std::vector<Wire>& wires() {
  static const std::vector<Wire> both{
      {"pg", "parleyd and PostgreSQL", Part::database,
       [](Arena& arena) -> Proxy& { return arena.instance().database_proxy(); }},
      {"mqtt", "parleyd and Mosquitto", Part::broker,
       [](Arena& arena) -> Proxy& { return arena.instance().broker_proxy(); }}};
  return both;
}

/// A cut that lies in wait for certain bytes.
class Trap : public Fault {
 public:
  using Set = std::function<void(Proxy&, Arena&)>;
  Trap(const Wire& wire, Set set) : wire_{wire}, set_{std::move(set)} {}
  void strike(Arena& arena) override {
    Proxy& proxy = wire_.proxy(arena);
    cuts_before_ = proxy.cuts();
    set_(proxy, arena);
  }
  void heal(Arena& arena) override {
    Proxy& proxy = wire_.proxy(arena);
    proxy.disarm();  // first: nothing may be cut that is not counted, nor in a later round
    cuts_ = proxy.cuts() - cuts_before_;
  }
  [[nodiscard]] bool happened() const override { return cuts_ > 0; }

 private:
  const Wire& wire_;
  Set set_;
  std::size_t cuts_before_ = 0;
  std::size_t cuts_ = 0;
};

Kind trap(const Wire& wire, const std::string& name, const std::string& what, Trap::Set set) {
  Kind kind;
  kind.name = wire.name + "_" + name;
  kind.what = what;
  kind.part = wire.part;
  kind.make = [&wire, set = std::move(set)] { return std::make_unique<Trap>(wire, set); };
  return kind;
}

void add_states(std::vector<Kind>& all, const Wire& wire) {
  const std::string between = "between " + wire.what;
  const auto proxy = wire.proxy;
  all.push_back(simple(
      wire.name + "_cut", "every connection " + between + " is reset", wire.part,
      [proxy](Arena& arena) { proxy(arena).cut(); }, nothing));
  all.push_back(simple(
      wire.name + "_refused", "every connection " + between + " is reset, and new ones are refused",
      wire.part,
      [proxy](Arena& arena) {
        proxy(arena).refuse(true);
        proxy(arena).cut();
      },
      [proxy](Arena& arena) { proxy(arena).refuse(false); }));
  all.push_back(simple(
      wire.name + "_half_open", "nothing passes " + between + ", and nobody is told", wire.part,
      [proxy](Arena& arena) { proxy(arena).half_open(); },
      [proxy](Arena& arena) { proxy(arena).resume(); }));
  all.push_back(simple(
      wire.name + "_half_open_cut", "nothing passes " + between + ", then all is reset", wire.part,
      [proxy](Arena& arena) { proxy(arena).half_open(); },
      [proxy](Arena& arena) {
        proxy(arena).resume();
        proxy(arena).cut();
      }));
  all.push_back(simple(
      wire.name + "_slow", "everything " + between + " takes 40 ms longer", wire.part,
      [proxy](Arena& arena) { proxy(arena).delay(slow_wire); },
      [proxy](Arena& arena) { proxy(arena).delay(test::Milliseconds{0}); }));
  all.push_back(trap(wire, "cut_up",
                     "a connection " + between + " is cut after some bytes to the server",
                     [](Proxy& p, Arena& arena) {
                       p.cut_after(Proxy::Direction::to_server, 1 + arena.chance() % 60'000);
                     }));
  all.push_back(trap(wire, "cut_down",
                     "a connection " + between + " is cut after some bytes to parleyd",
                     [](Proxy& p, Arena& arena) {
                       p.cut_after(Proxy::Direction::to_client, 1 + arena.chance() % 20'000);
                     }));
}

}  // namespace

void add_wire_kinds(std::vector<Kind>& all) {
  for (const Wire& wire : wires()) add_states(all, wire);
  const Wire& database = wires().front();
  all.push_back(trap(database, "before_sync",
                     "the connection is cut between a batch's rows and its SYNC",
                     [](Proxy& p, Arena&) {
                       p.cut_before(Proxy::Direction::to_server, Proxy::postgres_sync(), storing);
                     }));
  all.push_back(trap(database, "after_commit",
                     "the connection is cut between a COMMIT and its answer", [](Proxy& p, Arena&) {
                       p.cut_before(Proxy::Direction::to_client, Proxy::postgres_ready(), storing);
                     }));
}

}  // namespace parley::fault
