#include "tsa/protocol/tst_info.h"

#include <algorithm>

#include "base/der.h"
#include "tsa/protocol/backward.h"

namespace kokuin::tsp {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;

// accuracy's millis and micros are IMPLICIT INTEGERs, small and not negative.
std::int64_t small_number(der::Reader& in, std::uint8_t tag, std::string_view what) {
    const View content = in.expect(tag, what).content;
    if (in.failed()) return 0;
    if (content.empty() || content.size() > 4 || (content[0] & 0x80U) != 0) {
        in.fail(std::string(what) + " is out of range");
        return 0;
    }
    std::int64_t value = 0;
    for (const auto octet : content) value = value << 8U | octet;
    return value;
}

// X.690 11.7 forbids trailing zeros; tokens in the field have them.
std::optional<WallTime> tolerant_time(std::string text) {
    const std::size_t point = text.find('.');
    if (point != std::string::npos && !text.empty() && text.back() == 'Z') {
        text.pop_back();
        while (text.back() == '0') text.pop_back();
        if (text.back() == '.') text.pop_back();
        text += 'Z';
    }
    return from_generalized_time(text);
}

int fractional_digits(std::string_view text) {
    const std::size_t point = text.find('.');
    return point == std::string_view::npos ? 0 : static_cast<int>(text.size() - point - 2);
}

}  // namespace

Bytes encode(const TstInfo& info) {
    const Bytes policy = der::oid(info.policy);
    Backward out(160 + policy.size() + info.algorithm.size() + info.imprint.size() + info.serial.size() +
                 (info.nonce ? info.nonce->size() : 0) + info.tsa.size());
    if (!info.tsa.empty()) {
        // tsa [0] GeneralName: a CHOICE keeps its own tag, and so does Name in directoryName [4]
        // (X.680 31.2.7).
        const std::size_t mark = out.written();
        out.put(info.tsa);
        out.wrap(der::context(4, true), mark);
        out.wrap(der::context(0, true), mark);
    }
    if (info.nonce) out.element(der::integer_tag, *info.nonce);
    if (info.ordering) out.put(der::boolean_true());  // DEFAULT FALSE
    if (info.accuracy && info.accuracy->count() > 0) {
        const auto us = info.accuracy->count();
        const std::size_t mark = out.written();
        // "millis [0] INTEGER (1..999), micros [1] INTEGER (1..999)": a part that is zero is left out.
        if (us % 1000 != 0)
            out.unsigned_number(der::context(1, false), static_cast<std::uint64_t>(us % 1000));
        if (us / 1000 % 1000 != 0) {
            out.unsigned_number(der::context(0, false), static_cast<std::uint64_t>(us / 1000 % 1000));
        }
        if (us >= us_per_second) {
            out.unsigned_number(der::integer_tag, static_cast<std::uint64_t>(us / us_per_second));
        }
        out.wrap(der::sequence_tag, mark);
    }
    out.element(der::generalized_time_tag, as_view(to_generalized_time(info.gen_time, info.gentime_digits)));
    {
        const std::size_t mark = out.written();
        View magnitude = info.serial;
        while (!magnitude.empty() && magnitude[0] == 0) magnitude = magnitude.subspan(1);
        out.put(magnitude);
        if (magnitude.empty() || (magnitude[0] & 0x80U) != 0) out.put(std::uint8_t{0});
        out.wrap(der::integer_tag, mark);
    }
    {
        const std::size_t mark = out.written();
        out.element(der::octet_string, info.imprint);
        out.put(info.algorithm.empty() ? View(der::algorithm(info.hash_oid, true)) : View(info.algorithm));
        out.wrap(der::sequence_tag, mark);
    }
    out.put(policy);
    out.unsigned_number(der::integer_tag, 1);
    out.wrap(der::sequence_tag, 0);
    return out.take();
}

Result<TstInfo> parse_tst_info(View der_octets, std::size_t at) {
    der::Reader outer(der_octets, der::Integers::tolerate_long);
    der::Reader in = outer.enter(der::sequence_tag, "TSTInfo");
    TstInfo info;
    if (in.read_int64("version") != 1) in.fail("a version of TSTInfo other than 1");
    info.policy = in.read_oid("policy");
    {
        der::Reader imprint = in.enter(der::sequence_tag, "messageImprint");
        const der::Element algorithm = imprint.expect(der::sequence_tag, "hashAlgorithm");
        info.algorithm.assign(algorithm.whole.begin(), algorithm.whole.end());
        der::Reader fields(algorithm.content);
        if (!imprint.failed()) {
            info.hash_oid = fields.read_oid("hash algorithm");
            if (fields.failed()) imprint.fail(fields.fault().what);
        }
        info.imprint = imprint.read_octets("hashedMessage");
        imprint.finish("messageImprint");
    }
    info.serial = in.read_integer("serialNumber");
    if (!info.serial.empty()) {
        info.negative_serial = (info.serial[0] & 0x80U) != 0;
        const auto first =
            std::find_if(info.serial.begin(), info.serial.end() - 1, [](auto octet) { return octet != 0; });
        info.serial.erase(info.serial.begin(), first);
    }
    {
        const std::string text = as_text(in.expect(der::generalized_time_tag, "genTime").content);
        const auto time = tolerant_time(text);
        if (!in.failed() && !time) in.fail("genTime is no time");
        info.gen_time = time.value_or(WallTime{});
        info.gentime_digits = fractional_digits(text);
    }
    if (in.next_is(der::sequence_tag)) {
        der::Reader accuracy = in.enter(der::sequence_tag, "accuracy");
        std::int64_t us = 0;
        if (accuracy.next_is(der::integer_tag))
            us += us_per_second * small_number(accuracy, der::integer_tag, "seconds");
        if (accuracy.next_is(der::context(0, false))) {
            us += 1000 * small_number(accuracy, der::context(0, false), "millis");
        }
        if (accuracy.next_is(der::context(1, false)))
            us += small_number(accuracy, der::context(1, false), "micros");
        accuracy.finish("accuracy");
        info.accuracy = microseconds{us};
    }
    if (in.next_is(der::boolean)) info.ordering = in.read_boolean("ordering");
    if (in.next_is(der::integer_tag)) info.nonce = in.read_integer("nonce");
    if (in.next_is(der::context(0, true))) {
        der::Reader tsa = in.enter(der::context(0, true), "tsa");
        const der::Element general_name = tsa.any();
        tsa.finish("tsa");
        if (general_name.tag == der::context(4, true))
            info.tsa.assign(general_name.content.begin(), general_name.content.end());
    }
    if (in.next_is(der::context(1, true))) {
        in.any();
        info.has_extensions = true;
    }
    in.finish("the fields of TSTInfo");
    outer.finish("TSTInfo");
    if (outer.failed())
        return Error::usage("not a TSTInfo: " +
                            der::Fault{outer.fault().offset + at, outer.fault().what}.text());
    return info;
}

}  // namespace kokuin::tsp
