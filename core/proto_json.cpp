#include "core/proto_json.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <string_view>

#include "core/json_writer.hpp"
#include "core/wire.hpp"

namespace parley {
namespace {

using google::protobuf::FieldDescriptor;
using ProtoMessage = google::protobuf::Message;
using google::protobuf::Timestamp;

void write(JsonWriter& json, const ProtoMessage& message);

void write_text(JsonWriter& json, const FieldDescriptor& field, std::string_view text) {
  if (field.type() == FieldDescriptor::TYPE_BYTES) {
    json.bytes(text);
  } else {
    json.value(text);
  }
}

void write_message(JsonWriter& json, const ProtoMessage& message) {
  if (message.GetDescriptor() == Timestamp::descriptor()) {
    const auto& time = static_cast<const Timestamp&>(message);
    json.value(format_time({time.seconds() * 1000 + time.nanos() / 1'000'000}));
  } else {
    write(json, message);
  }
}

/// The schema has only these types.
void write_one(JsonWriter& json, const ProtoMessage& message, const FieldDescriptor& field) {
  const auto& from = *message.GetReflection();
  std::string scratch;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    json.value(from.GetUInt32(message, &field));
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    json.flag(from.GetBool(message, &field));
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    write_text(json, field, from.GetStringReference(message, &field, &scratch));
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    write_message(json, from.GetMessage(message, &field));
  }
}

void write_list(JsonWriter& json, const ProtoMessage& message, const FieldDescriptor& field) {
  const auto& from = *message.GetReflection();
  std::string scratch;
  json.open_array();
  for (int i = 0; i < from.FieldSize(message, &field); ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      write_text(json, field, from.GetRepeatedStringReference(message, &field, i, &scratch));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      write_message(json, from.GetRepeatedMessage(message, &field, i));
    }
  }
  json.close_array();
}

void write(JsonWriter& json, const ProtoMessage& message) {
  const auto& schema = *message.GetDescriptor();
  json.open_object();
  for (int i = 0; i < schema.field_count(); ++i) {
    const FieldDescriptor& field = *schema.field(i);
    if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
    json.key(field.name());
    if (field.is_repeated()) {
      write_list(json, message, field);
    } else {
      write_one(json, message, field);
    }
  }
  json.close_object();
}

}  // namespace

void append_json(const ProtoMessage& message, std::string& out) {
  JsonWriter json{out};
  write(json, message);
}

void put_time(UnixMillis from, Timestamp& to) {
  std::int64_t seconds = from.value / 1000;
  std::int64_t millis = from.value % 1000;
  if (millis < 0) {
    millis += 1000;
    --seconds;
  }
  to.set_seconds(seconds);
  to.set_nanos(static_cast<std::int32_t>(millis * 1'000'000));
}

}  // namespace parley
