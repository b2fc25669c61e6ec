// The test client's own packets: a test that misreads the wire proves nothing.
#include <doctest/doctest.h>

#include "tests/support/mqtt_client.hpp"
#include "tests/support/mqtt_packet.hpp"

using namespace parley::test;

TEST_CASE("harness: a CONNECT has the bytes of the MQTT 3.1.1 standard") {
  const std::string bytes =
      encode_connect({.client_id = "c", .username = "u", .password = "p", .keepalive_s = 10});
  const std::string expected(
      "\x10\x13\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01"
      "c\x00\x01u\x00\x01p",
      21);
  CHECK(bytes == expected);
}

TEST_CASE("harness: a PUBLISH with properties survives encoding and decoding") {
  const Publication sent{.topic = "a/b",
                         .payload = std::string("x\0y", 3),
                         .qos = 1,
                         .packet_id = 513,
                         .user_properties = {{"k", "v"}, {"k", "w"}},
                         .response_topic = "r/1",
                         .correlation_data = std::string("\0\xff", 2),
                         .expiry_s = 77};
  std::string buffer = encode_publish(sent, 5) + "\xd0";
  CHECK(static_cast<unsigned char>(buffer[0]) == 0x32);
  const auto packet = take_packet(buffer);
  REQUIRE(packet.has_value());
  CHECK(buffer == "\xd0");
  const Publication read = decode_publish(*packet, 5);
  CHECK(read.topic == "a/b");
  CHECK(read.payload == std::string("x\0y", 3));
  CHECK(read.packet_id == 513);
  CHECK(read.user_properties == sent.user_properties);
  CHECK(read.user_property("k") == "v");
  CHECK(read.response_topic == "r/1");
  CHECK(read.correlation_data == std::string("\0\xff", 2));
  CHECK(read.expiry_s == 77);
}

TEST_CASE("harness: packets are taken only when complete, with lengths of several bytes") {
  const Publication sent{.topic = "t", .payload = std::string(20'000, 'x'), .qos = 0};
  const std::string bytes = encode_publish(sent, 4);
  std::string buffer = bytes.substr(0, bytes.size() - 1);
  CHECK_FALSE(take_packet(buffer).has_value());
  buffer += bytes.back();
  const auto packet = take_packet(buffer);
  REQUIRE(packet.has_value());
  CHECK(decode_publish(*packet, 4).payload.size() == 20'000);
  std::string one = "\x30";
  CHECK_FALSE(take_packet(one).has_value());
  std::string endless = "\x30\xff\xff\xff\xff\xff";
  CHECK_THROWS(take_packet(endless));
}

TEST_CASE("harness: filters match as MQTT says") {
  CHECK(matches("a/+/c", "a/b/c"));
  CHECK(matches("a/#", "a/b/c"));
  CHECK(matches("a/#", "a"));
  CHECK(matches("#", "a/b"));
  CHECK_FALSE(matches("a/+", "a/b/c"));
  CHECK_FALSE(matches("a/b", "a/bc"));
  CHECK_FALSE(matches("a/b/c", "a/b"));
}
