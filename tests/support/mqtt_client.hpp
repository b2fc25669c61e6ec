// A small blocking MQTT client that shows what a broker really says: every code, every packet.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/deadline.hpp"
#include "tests/support/mqtt_packet.hpp"
#include "tests/support/process.hpp"

namespace parley::test {

/// What a client calls the result of a publish: the reason code of its PUBACK or PUBCOMP (0 for
/// MQTT 3.1.1), or this.
inline constexpr int disconnected = -1;

/// Single-threaded; reads its socket only while one of its functions waits. Everything that waits
/// throws std::runtime_error, with what came instead, when its deadline passes.
class MqttClient {
 public:
  /// Connects the socket only.
  explicit MqttClient(std::uint16_t port);
  MqttClient(MqttClient&&) = default;
  MqttClient& operator=(MqttClient&&) = default;
  /// Says DISCONNECT if it still can.
  ~MqttClient();

  /// @return the CONNACK's code, or `disconnected`
  int connect(const ConnectOptions& options);
  [[nodiscard]] bool session_present() const { return session_present_; }

  /// @return one code per filter: the granted QoS, or 0x80 and above
  std::vector<int> subscribe(const std::vector<std::string>& filters, int qos = 1);
  int subscribe(const std::string& filter, int qos = 1);
  void unsubscribe(const std::string& filter);

  /// Waits for the broker's answer if `qos` > 0; see `disconnected`.
  int publish(const Publication& publication);
  int publish(const std::string& topic, const std::string& payload, int qos = 1);
  /// Sends only. Its answer is collected by `await_answers`.
  /// @return its packet id
  std::uint16_t publish_soon(Publication publication);
  /// Waits until at most `open` of the publications sent with `publish_soon` are not answered.
  /// @return false if the connection ended first
  bool await_answers(std::size_t open = 0, Deadline deadline = Deadline{});
  [[nodiscard]] std::size_t unanswered() const { return unanswered_; }
  /// The reason codes of `publish_soon`, by packet id, in so far as they came.
  [[nodiscard]] const std::map<std::uint16_t, int>& answers() const { return answers_; }

  /// The next publication of that topic; what else came stays. `+` and `#` work.
  Publication expect(const std::string& topic_filter, Deadline deadline = Deadline{});
  /// Its payload.
  std::string expect_text(const std::string& topic_filter, Deadline deadline = Deadline{});
  Publication expect_that(const std::string& what,
                          const std::function<bool(const Publication&)>& is_it,
                          Deadline deadline = Deadline{});
  /// Everything that came and was not taken, after a PINGREQ came back: whatever the broker had
  /// for us before is in it.
  std::vector<Publication> drain();
  /// Everything that came and was not taken, without waiting; also of a connection that has ended.
  std::vector<Publication> take();
  /// PINGREQ and back. @return false if the connection ended
  bool ping(Deadline deadline = Deadline{});

  /// Waits until the broker hangs up.
  /// @return false if it did not
  bool wait_closed(Deadline deadline = Deadline{});
  [[nodiscard]] bool closed() const { return closed_; }
  /// Reason of the broker's MQTT 5 DISCONNECT, if it sent one.
  [[nodiscard]] std::optional<int> disconnect_reason() const { return disconnect_reason_; }

  void disconnect();  // with DISCONNECT, until the broker has hung up: no will
  void drop();        // without: the will is due
  /// From now on publications with QoS 1 and 2 are not acknowledged.
  void withhold_acks() { acking_ = false; }
  /// Acknowledges them now, in the order in which they came, and what comes from now on at once.
  void resume_acks();
  /// The socket, from now on the caller's; this is as after `drop`, and the connection goes on.
  [[nodiscard]] int release();
  /// Writes bytes as they are.
  void send_raw(std::string_view bytes);

 private:
  bool read_some(Deadline deadline);
  void handle(const Packet& packet);
  void handle_publish(const Packet& packet);
  void acknowledge(int qos, std::uint16_t packet_id);
  bool wait_for(const std::function<bool()>& done, Deadline deadline);
  std::uint16_t next_packet_id();
  [[nodiscard]] std::string what_came() const;

  Descriptor socket_;
  std::string buffer_;
  int version_ = 4;
  bool acking_ = true;
  bool closed_ = false;
  bool connected_ = false;
  bool session_present_ = false;
  std::uint16_t last_packet_id_ = 0;
  std::size_t unanswered_ = 0;
  std::size_t pings_open_ = 0;
  std::optional<int> connack_;
  std::optional<int> disconnect_reason_;
  std::map<std::uint16_t, std::vector<std::uint8_t>> subacks_;
  std::map<std::uint16_t, int> answers_;
  std::deque<Publication> received_;
  std::vector<std::pair<int, std::uint16_t>> withheld_;  // QoS, packet id
};

/// Whether an MQTT filter matches a topic.
bool matches(std::string_view filter, std::string_view topic);

}  // namespace parley::test
