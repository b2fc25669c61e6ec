#include "core/answer.hpp"

#include <utility>

namespace parley {

AnswerTo answer_to(const link::InboundRecord& record, std::string_view prefix, Format format) {
  AnswerTo to{record.user, format, "", std::nullopt};
  if (!record.response_topic.empty()) {
    if (const auto rest = response_rest(prefix, record.user, record.response_topic)) {
      to.response_rest = *rest;
      to.correlation_data = record.correlation_data;
    }
  }
  return to;
}

void ack_deliveries(const AnswerTo& to, const Ack& ack, std::uint32_t feeds,
                    const link::Deliver& deliver) {
  const auto answer = [&](std::string suffix, Format format, std::uint32_t qos) {
    link::Delivery delivery;
    delivery.to.push_back(to.user);
    delivery.suffix = std::move(suffix);
    delivery.payload = encode_ack(format, ack);
    delivery.qos = qos;
    if (!to.response_rest.empty()) delivery.correlation_data = to.correlation_data;
    deliver(std::move(delivery));
  };
  if (!to.response_rest.empty()) {
    answer(to.response_rest, to.format, 1);
    return;
  }
  if ((feeds & feed::ack_text) != 0) answer(ack_rest(Format::text, ack.id), Format::text, 0);
  if ((feeds & feed::ack_json) != 0) answer(ack_rest(Format::json, ack.id), Format::json, 0);
  if ((feeds & feed::ack_pb) != 0) answer(ack_rest(Format::pb, ack.id), Format::pb, 0);
}

link::Delivery reply_delivery(const AnswerTo& to, std::string_view id, std::string payload) {
  link::Delivery delivery;
  delivery.to = {to.user};
  delivery.suffix = to.response_rest.empty() ? reply_rest(to.format, id) : to.response_rest;
  delivery.payload = std::move(payload);
  delivery.qos = 1;
  if (!to.response_rest.empty()) delivery.correlation_data = to.correlation_data;
  return delivery;
}

link::Delivery err_delivery(const std::string& user, Code code, std::string_view topic,
                            std::string_view detail) {
  link::Delivery delivery;
  delivery.to = {user};
  delivery.suffix = err_rest;
  delivery.payload.append(to_string(code)).append(" ").append(topic).append(" ").append(detail);
  delivery.qos = 1;
  return delivery;
}

}  // namespace parley
