// Values or errors: how functions that can fail say so.
#pragma once

#include <tl/expected.hpp>
#include <utility>

namespace parley {

template <class T, class E>
using Result = tl::expected<T, E>;

template <class E>
auto failed(E error) {
  return tl::unexpected<E>(std::move(error));
}

}  // namespace parley
