#include "base/der.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>

#include "base/text.h"

namespace kokuin::der {
namespace {

bool minimal_integer(View content) {
    if (content.empty()) return false;
    if (content.size() == 1) return true;
    // X.690 8.3.2: the first nine bits are never all equal.
    return !((content[0] == 0x00 && (content[1] & 0x80U) == 0) ||
             (content[0] == 0xff && (content[1] & 0x80U) != 0));
}

bool is_utf8(View text) {
    while (!text.empty()) {
        std::uint32_t code = 0;
        const auto octets = next_character(text, code);
        if (octets == 0) return false;
        text = text.subspan(octets);
    }
    return true;
}

void append_length(Bytes& out, std::size_t length) {
    if (length < 0x80) {
        out.push_back(static_cast<std::uint8_t>(length));
        return;
    }
    std::array<std::uint8_t, sizeof(std::size_t)> digits{};
    std::size_t count = 0;
    for (auto rest = length; rest != 0; rest >>= 8U) digits[count++] = static_cast<std::uint8_t>(rest);
    out.push_back(static_cast<std::uint8_t>(0x80U | count));
    while (count > 0) out.push_back(digits[--count]);
}

void append_base128(Bytes& out, std::uint64_t value) {
    std::array<std::uint8_t, 10> digits{};
    std::size_t count = 0;
    do {
        digits[count++] = static_cast<std::uint8_t>(value & 0x7fU);
        value >>= 7U;
    } while (value != 0);
    while (count > 1) out.push_back(static_cast<std::uint8_t>(digits[--count] | 0x80U));
    out.push_back(digits[0]);
}

/// The content octets of an OBJECT IDENTIFIER; nothing if the text is none.
std::optional<Bytes> oid_content(std::string_view dotted) {
    std::vector<std::uint64_t> arcs;
    std::size_t at = 0;
    while (true) {
        const std::size_t dot = std::min(dotted.find('.', at), dotted.size());
        const auto arc = dotted.substr(at, dot - at);
        if (arc.empty() || arc.size() > 18 || (arc.size() > 1 && arc[0] == '0')) return std::nullopt;
        std::uint64_t value = 0;
        for (const char c : arc) {
            if (c < '0' || c > '9') return std::nullopt;
            value = value * 10 + static_cast<std::uint64_t>(c - '0');
        }
        arcs.push_back(value);
        if (dot == dotted.size()) break;
        at = dot + 1;
    }
    if (arcs.size() < 2 || arcs[0] > 2 || (arcs[0] < 2 && arcs[1] > 39)) return std::nullopt;
    Bytes content;
    append_base128(content, arcs[0] * 40 + arcs[1]);
    for (std::size_t i = 2; i < arcs.size(); ++i) append_base128(content, arcs[i]);
    return content;
}

}  // namespace

Reader::Reader(View input, Integers integers)
    : rest_(input), origin_(input.data()), integers_(integers), fault_(&own_fault_) {}

Reader::Reader(View content, const Reader& parent)
    : rest_(content), origin_(parent.origin_), integers_(parent.integers_), fault_(parent.fault_) {}

std::optional<std::uint8_t> Reader::next_tag() const {
    if (at_end()) return std::nullopt;
    return rest_[0];
}

void Reader::fail(std::string what) {
    if (failed()) return;
    *fault_ = Fault{static_cast<std::size_t>(rest_.data() - origin_), std::move(what)};
}

Element Reader::any() {
    if (failed()) return {};
    if (rest_.size() < 2) return fail("an element is cut off"), Element{};
    if ((rest_[0] & 0x1fU) == 0x1f) return fail("a tag number above 30"), Element{};
    std::size_t header = 2;
    std::size_t length = rest_[1];
    if (length == 0x80) return fail("indefinite length (X.690 10.1 wants the definite form)"), Element{};
    if (length > 0x80) {
        const std::size_t digits = length & 0x7fU;
        if (digits > 4) return fail("a length of more than four octets"), Element{};
        if (rest_.size() < 2 + digits) return fail("a length is cut off"), Element{};
        length = 0;
        for (std::size_t i = 0; i < digits; ++i) length = length << 8U | rest_[2 + i];
        if (length < 0x80 || length >> 8U * (digits - 1) == 0)
            return fail("a length that isn't minimal"), Element{};
        header += digits;
    }
    if (rest_.size() - header < length) return fail("an element is longer than what is left"), Element{};
    const Element element{rest_[0], rest_.subspan(header, length), rest_.first(header + length)};
    rest_ = rest_.subspan(header + length);
    return element;
}

Element Reader::expect(std::uint8_t tag, std::string_view what) {
    if (failed()) return {};
    if (rest_.empty()) return fail(std::string(what) + " is missing"), Element{};
    if (rest_[0] != tag) {
        const Bytes found{rest_[0]};
        const Bytes wanted{tag};
        return fail(std::string(what) + " expected (tag " + to_hex(wanted) + "), found tag " + to_hex(found)),
               Element{};
    }
    return any();
}

Reader Reader::enter(std::uint8_t tag, std::string_view what) {
    return Reader(expect(tag, what).content, *this);
}

bool Reader::read_boolean(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(boolean, what);
    if (failed()) return false;
    if (element.content.size() != 1 || (element.content[0] != 0x00 && element.content[0] != 0xff)) {
        rest_ = before;
        fail(std::string(what) + " is no DER BOOLEAN");
        return false;
    }
    return element.content[0] == 0xff;
}

View Reader::integer_content(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(integer_tag, what);
    if (failed()) return {};
    const bool good =
        integers_ == Integers::minimal ? minimal_integer(element.content) : !element.content.empty();
    if (!good) {
        rest_ = before;
        fail(std::string(what) + " is no minimal INTEGER");
        return {};
    }
    return element.content;
}

Bytes Reader::read_integer(std::string_view what) {
    return to_bytes(integer_content(what));
}

std::int64_t Reader::read_int64(std::string_view what) {
    const auto before = rest_;
    const View content = integer_content(what);
    if (failed()) return 0;
    const bool negative = (content[0] & 0x80U) != 0;
    const std::uint8_t sign = negative ? 0xff : 0x00;
    std::size_t skip = 0;
    while (content.size() - skip > 8 && content[skip] == sign) ++skip;
    if (content.size() - skip > 8 || ((content[skip] & 0x80U) != 0) != negative) {
        rest_ = before;
        fail(std::string(what) + " doesn't fit into 64 bits");
        return 0;
    }
    std::uint64_t value = negative ? std::numeric_limits<std::uint64_t>::max() : 0;
    for (std::size_t i = skip; i < content.size(); ++i) value = value << 8U | content[i];
    return static_cast<std::int64_t>(value);
}

std::string Reader::read_oid(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(object_identifier, what);
    if (failed()) return {};
    // An archive is verified by reading some dozens of these for each of its tokens.
    std::string dotted;
    dotted.reserve(element.content.size() * 4);
    const auto write = [&dotted](std::uint64_t number) {
        std::array<char, 20> digits;
        const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
        dotted.append(digits.begin(), end);
    };
    std::uint64_t arc = 0;
    bool started = false;
    bool good = !element.content.empty();
    for (const auto octet : element.content) {
        if (!started && octet == 0x80) good = false;  // a leading zero digit: not minimal
        if (arc >> 56U != 0) good = false;            // the next seven bits would not fit
        if (!good) break;
        arc = arc << 7U | (octet & 0x7fU);
        started = (octet & 0x80U) != 0;
        if (started) continue;
        if (dotted.empty()) {
            const std::uint64_t top = std::min<std::uint64_t>(arc / 40, 2);
            write(top);
            dotted += '.';
            write(arc - top * 40);
        } else {
            dotted += '.';
            write(arc);
        }
        arc = 0;
    }
    if (!good || started) {
        rest_ = before;
        fail(std::string(what) + " is no DER OBJECT IDENTIFIER");
        return {};
    }
    return dotted;
}

Bytes Reader::read_octets(std::string_view what) {
    const auto element = expect(octet_string, what);
    return {element.content.begin(), element.content.end()};
}

Bytes Reader::read_bit_string(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(bit_string, what);
    if (failed()) return {};
    if (element.content.empty() || element.content[0] != 0) {
        rest_ = before;
        fail(std::string(what) + " is no BIT STRING of whole octets");
        return {};
    }
    return {element.content.begin() + 1, element.content.end()};
}

WallTime Reader::read_generalized_time(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(generalized_time_tag, what);
    if (failed()) return {};
    const auto time = from_generalized_time(as_text(element.content));
    if (!time) {
        rest_ = before;
        fail(std::string(what) + " is no DER GeneralizedTime");
        return {};
    }
    return *time;
}

std::string Reader::read_utf8(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(utf8_string, what);
    if (failed()) return {};
    if (!is_utf8(element.content)) {
        rest_ = before;
        fail(std::string(what) + " is no UTF-8");
        return {};
    }
    return as_text(element.content);
}

void Reader::read_null(std::string_view what) {
    const auto before = rest_;
    const auto element = expect(null_tag, what);
    if (failed() || element.content.empty()) return;
    rest_ = before;
    fail(std::string(what) + " is no NULL");
}

void Reader::finish(std::string_view what) {
    if (!failed() && !rest_.empty()) fail("something is left after " + std::string(what));
}

Bytes tlv(std::uint8_t tag, View content) {
    return tlv(tag, {content});
}

Bytes tlv(std::uint8_t tag, std::initializer_list<View> contents) {
    std::size_t length = 0;
    for (const auto content : contents) length += content.size();
    Bytes out;
    out.reserve(length + 6);
    out.push_back(tag);
    append_length(out, length);
    for (const auto content : contents) append(out, content);
    return out;
}

Bytes set_of(std::vector<Bytes> members, std::uint8_t tag) {
    // X.690 11.6: ascending as octet strings, the shorter one padded with zeros; no two encodings of our
    // types are a prefix of each other, so the plain order is the same.
    std::sort(members.begin(), members.end());
    Bytes content;
    for (const auto& member : members) append(content, member);
    return tlv(tag, content);
}

Bytes integer(std::int64_t value) {
    std::array<std::uint8_t, 8> octets{};
    for (std::size_t i = 0; i < 8; ++i)
        octets[7 - i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> 8U * i);
    std::size_t skip = 0;
    while (skip < 7 && !minimal_integer(View(octets).subspan(skip))) ++skip;
    return tlv(integer_tag, View(octets).subspan(skip));
}

Bytes integer_octets(View content) {
    return tlv(integer_tag, content);
}

Bytes unsigned_integer(View magnitude) {
    while (!magnitude.empty() && magnitude[0] == 0) magnitude = magnitude.subspan(1);
    const std::array<std::uint8_t, 1> zero{0};
    if (magnitude.empty()) return tlv(integer_tag, zero);
    if ((magnitude[0] & 0x80U) != 0) return tlv(integer_tag, {zero, magnitude});
    return tlv(integer_tag, magnitude);
}

Bytes oid(std::string_view dotted) {
    const auto content = oid_content(dotted);
    if (!content) std::abort();
    return tlv(object_identifier, *content);
}

bool is_oid(std::string_view dotted) {
    return oid_content(dotted).has_value();
}

Bytes octets(View content) {
    return tlv(octet_string, content);
}

Bytes bits(View content) {
    const std::array<std::uint8_t, 1> none_unused{0};
    return tlv(bit_string, {none_unused, content});
}

Bytes utf8(std::string_view text) {
    return tlv(utf8_string, as_view(text));
}

Bytes boolean_true() {
    return {boolean, 0x01, 0xff};
}

Bytes null() {
    return {null_tag, 0x00};
}

Bytes generalized_time(WallTime time, int digits) {
    return tlv(generalized_time_tag, as_view(to_generalized_time(time, digits)));
}

Bytes algorithm(std::string_view dotted, bool null_parameters) {
    return null_parameters ? sequence({oid(dotted), null()}) : sequence({oid(dotted)});
}

}  // namespace kokuin::der
