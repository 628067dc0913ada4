// DER (X.690), strictly: what we read and write by hand (RFC 3161, CMS, TAC, archive records) goes through
// here. Pure; no I/O; a Reader belongs to one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace kokuin::der {

/// Identifier octets of the universal types we use, constructed bit included where DER sets it.
enum Tag : std::uint8_t {
    boolean = 0x01,
    integer_tag = 0x02,
    bit_string = 0x03,
    octet_string = 0x04,
    null_tag = 0x05,
    object_identifier = 0x06,
    enumerated = 0x0a,
    utf8_string = 0x0c,
    printable_string = 0x13,
    ia5_string = 0x16,
    utc_time = 0x17,
    generalized_time_tag = 0x18,
    sequence_tag = 0x30,
    set_tag = 0x31,
};
/// Context tag [number], number ≤ 30.
constexpr std::uint8_t context(unsigned number, bool constructed) {
    return static_cast<std::uint8_t>(0x80U | (constructed ? 0x20U : 0U) | number);
}

/// Why reading stopped: where (offset in octets from the start of the outermost input) and what was wrong
/// there.
struct Fault {
    std::size_t offset = 0;
    std::string what;
    [[nodiscard]] std::string text() const { return "at octet " + std::to_string(offset) + ": " + what; }
};

/// How strictly INTEGERs are read.
enum class Integers {
    minimal,        ///< DER
    tolerate_long,  ///< also non-minimal ones: TACs in the field have them (design section 3)
};

/// One element: its identifier octet, its content, and the whole encoding. Views into the input.
struct Element {
    std::uint8_t tag = 0;
    View content;
    View whole;
};

/// Reads a sequence of DER elements. Errors are sticky: the first fault is kept, and everything read after it
/// is empty, so a parser is a straight list of reads with one check at its end (`failed()`), and never acts
/// on values before that check. Readers entered from a Reader share its fault. Lengths must be definite and
/// minimal (X.690 10.1); tags above 30 are refused.
class Reader {
  public:
    /// The whole input is read by this Reader; it must outlive the Reader and everything entered from it.
    explicit Reader(View input, Integers integers = Integers::minimal);
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// True if nothing is left (or something failed).
    [[nodiscard]] bool at_end() const { return rest_.empty() || failed(); }
    /// Identifier octet of the next element; nothing at the end.
    [[nodiscard]] std::optional<std::uint8_t> next_tag() const;
    [[nodiscard]] bool next_is(std::uint8_t tag) const { return next_tag() == tag; }

    /// The next element, whatever it is.
    Element any();
    /// The next element, which must have this identifier octet; `what` names it in the fault.
    Element expect(std::uint8_t tag, std::string_view what);
    /// A Reader of the content of the next element, which must have this identifier octet.
    Reader enter(std::uint8_t tag, std::string_view what);
    /// A Reader of the content of an element that this one has read.
    [[nodiscard]] Reader inside(const Element& element) const { return Reader(element.content, *this); }

    bool read_boolean(std::string_view what);        ///< FF or 00 only
    Bytes read_integer(std::string_view what);       ///< content octets, two's complement, as they stand
    std::int64_t read_int64(std::string_view what);  ///< faults if it doesn't fit
    std::string read_oid(std::string_view what);     ///< dotted; minimal arcs, each below 2^63
    Bytes read_octets(std::string_view what);        ///< OCTET STRING
    Bytes read_bit_string(std::string_view what);    ///< no unused bits allowed
    WallTime read_generalized_time(std::string_view what);
    std::string read_utf8(std::string_view what);  ///< UTF8String, checked to be UTF-8
    void read_null(std::string_view what);

    /// Faults if anything is left.
    void finish(std::string_view what);
    /// Makes a fault of one's own, at the next element.
    void fail(std::string what);

    [[nodiscard]] bool failed() const { return fault_->has_value(); }
    /// The first fault; only if failed().
    [[nodiscard]] const Fault& fault() const { return **fault_; }

  private:
    Reader(View content, const Reader& parent);
    View integer_content(std::string_view what);

    View rest_;
    const std::uint8_t* origin_;
    Integers integers_;
    std::optional<Fault> own_fault_;
    std::optional<Fault>* fault_;
};

/// Any element: identifier octet, minimal definite length, content.
Bytes tlv(std::uint8_t tag, View content);
Bytes tlv(std::uint8_t tag, std::initializer_list<View> contents);
inline Bytes sequence(std::initializer_list<View> members) {
    return tlv(sequence_tag, members);
}
/// SET OF: members sorted as X.690 11.6 wants.
Bytes set_of(std::vector<Bytes> members, std::uint8_t tag = set_tag);
Bytes integer(std::int64_t value);
/// INTEGER of these content octets, which must be minimal two's complement already (a nonce is echoed like
/// this).
Bytes integer_octets(View content);
/// INTEGER of an unsigned big-endian magnitude; leading zeros are dropped, one is added where the sign bit
/// needs it.
Bytes unsigned_integer(View magnitude);
Bytes oid(
    std::string_view dotted);  ///< aborts on a malformed OID: those come from the program or were checked
/// True if `dotted` is an OID that oid() takes.
bool is_oid(std::string_view dotted);
Bytes octets(View content);
Bytes bits(View content);  ///< BIT STRING without unused bits
Bytes utf8(std::string_view text);
Bytes boolean_true();
Bytes null();
Bytes generalized_time(WallTime time, int digits);
/// AlgorithmIdentifier with NULL parameters, or without any.
Bytes algorithm(std::string_view dotted, bool null_parameters);

}  // namespace kokuin::der
