// MQTT packets, under the names that tests use.
#pragma once

#include "tools/load/mqtt_packet.hpp"

namespace parley::test {

using load::Answer;
using load::Connack;
using load::ConnectOptions;
using load::decode_answer;
using load::decode_connack;
using load::decode_publish;
using load::decode_suback;
using load::encode_ack;
using load::encode_connect;
using load::encode_empty;
using load::encode_publish;
using load::encode_subscribe;
using load::encode_unsubscribe;
using load::Packet;
using load::PacketType;
using load::Publication;
using load::Suback;
using load::Subscription;
using load::take_packet;
using load::UserProperty;
using load::Will;

}  // namespace parley::test
