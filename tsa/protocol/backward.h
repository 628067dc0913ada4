// DER written from its end to its beginning: a header is put in front of content whose length is known by
// then, so that nested structures need no buffers of their own. For what is encoded for every token;
// elsewhere base/der.h reads better.
#pragma once

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/der.h"

namespace kokuin::tsp {

/// Belongs to one thread.
class Backward {
  public:
    /// `capacity`: octets expected at most; more are possible and cost an allocation.
    explicit Backward(std::size_t capacity) : buffer_(capacity), at_(capacity) {}

    /// Octets written so far: what a later wrap() puts its header in front of, counted from here.
    [[nodiscard]] std::size_t written() const { return buffer_.size() - at_; }
    /// Puts these octets in front.
    void put(View octets) {
        make_room(octets.size());
        at_ -= octets.size();
        std::copy(octets.begin(), octets.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
    }
    void put(std::uint8_t octet) { put(View(&octet, 1)); }
    /// Makes everything written since written() was `mark` the content of an element with this identifier
    /// octet.
    void wrap(std::uint8_t tag, std::size_t mark) {
        std::size_t length = written() - mark;
        if (length < 0x80) {
            put(static_cast<std::uint8_t>(length));
        } else {
            std::uint8_t digits = 0;
            for (; length != 0; length >>= 8U, ++digits) put(static_cast<std::uint8_t>(length));
            put(static_cast<std::uint8_t>(0x80U | digits));
        }
        put(tag);
    }
    /// A whole element.
    void element(std::uint8_t tag, View content) {
        const std::size_t mark = written();
        put(content);
        wrap(tag, mark);
    }
    /// INTEGER (or an element with another tag but its content) of a value that isn't negative.
    void unsigned_number(std::uint8_t tag, std::uint64_t value) {
        const std::size_t mark = written();
        bool top_bit = false;
        do {
            put(static_cast<std::uint8_t>(value));
            top_bit = (value & 0x80U) != 0;
            value >>= 8U;
        } while (value != 0);
        if (top_bit) put(std::uint8_t{0});
        wrap(tag, mark);
    }

    /// What was written; the writer is empty then.
    Bytes take() {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
        at_ = 0;
        return std::exchange(buffer_, {});
    }

  private:
    void make_room(std::size_t more) {
        if (at_ >= more) return;
        Bytes larger(2 * buffer_.size() + more);
        const std::size_t shift = larger.size() - buffer_.size();
        std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(at_), buffer_.end(),
                  larger.begin() + static_cast<std::ptrdiff_t>(at_ + shift));
        at_ += shift;
        buffer_ = std::move(larger);
    }

    Bytes buffer_;
    std::size_t at_;
};

}  // namespace kokuin::tsp
