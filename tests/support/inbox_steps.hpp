// Alice writes to bob: the steps of tests about what reaches his devices.
#pragma once

#include <string>
#include <vector>

#include "tests/support/instance.hpp"

namespace parley::test {

/// Alice sends m<first> … m<last> to bob, and all are stored.
void send_range(Instance& instance, int first, int last);
/// The seqs of everything that came on inbox.json/alice, once nothing more is under way.
std::vector<int> seqs(Instance& instance, Person& person);
/// The next one's.
int next_seq(Person& person, Deadline deadline = Deadline{});
/// The next ones are these, one after the other.
void expect_range(Person& person, int first, int last);
/// Says `got` up to `seq`, and waits until the server has it.
void confirm(Instance& instance, Person& person, int seq);
/// Configuration: once more after a second, so often.
std::string redeliver(int max);
/// Bob's phone, which has confirmed the first message and all before it.
Person confirming_phone(Instance& instance);
/// Takes what comes until `last`, confirming every `every`-th: at least once each, without gaps.
/// @param held  what it has already
void take_all(Person& person, int last, int every, int held);
/// As the named device, without what the broker itself kept for it.
Person fresh_device(Instance& instance, const std::string& name, const std::string& device);

}  // namespace parley::test
