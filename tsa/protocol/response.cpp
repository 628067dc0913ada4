#include "tsa/protocol/response.h"

#include <algorithm>
#include <array>

#include "base/der.h"
#include "base/text.h"

namespace kokuin::tsp {
namespace {

constexpr std::size_t longest_text = 1000;

// PKIFailureInfo ::= BIT STRING with named bits, one of them set. X.690 11.2.2: trailing zero bits are
// removed before it is encoded, so it ends with the named bit. Bit 0 is the highest bit of the first octet
// (8.6.2.1).
Bytes fail_info_bits(FailInfo info) {
    const auto bit = static_cast<unsigned>(info);
    Bytes content(2 + bit / 8, 0);
    content.front() = static_cast<std::uint8_t>(7 - bit % 8);  // how many bits of the last octet are unused
    content.back() = static_cast<std::uint8_t>(0x80U >> bit % 8);
    return der::tlv(der::bit_string, content);
}

std::vector<unsigned> read_named_bits(der::Reader& in) {
    const View content = in.expect(der::bit_string, "failInfo").content;
    std::vector<unsigned> bits;
    if (in.failed()) return bits;
    if (content.empty() || content[0] > 7 || (content.size() == 1 && content[0] != 0)) {
        in.fail("failInfo is no BIT STRING");
        return bits;
    }
    const std::size_t count = (content.size() - 1) * 8 - content[0];
    for (std::size_t bit = 0; bit < count; ++bit) {
        if ((content[1 + bit / 8] & (0x80U >> bit % 8)) != 0) bits.push_back(static_cast<unsigned>(bit));
    }
    return bits;
}

std::string status_text(int status) {
    constexpr std::array<const char*, 6> names{"granted", "grantedWithMods",   "rejection",
                                               "waiting", "revocationWarning", "revocationNotification"};
    const bool known = status >= 0 && status < static_cast<int>(names.size());
    return std::string(known ? names[static_cast<std::size_t>(status)] : "unknown status") + " (" +
           std::to_string(status) + ")";
}

}  // namespace

Bytes rejection(const Rejection& rejection) {
    // PKIStatusInfo ::= SEQUENCE { status, statusString PKIFreeText OPTIONAL, failInfo OPTIONAL } (RFC
    // 3161 2.4.2)
    const Bytes status = der::integer(static_cast<int>(Status::rejection));
    const Bytes text = rejection.text.empty() ? Bytes{} : der::sequence({der::utf8(rejection.text)});
    return der::sequence({der::sequence({status, text, fail_info_bits(rejection.info)})});
}

Bytes granted(View token) {
    static constexpr std::array<std::uint8_t, 5> status{der::sequence_tag, 3, der::integer_tag, 1, 0};
    return der::sequence({status, token});
}

Result<Response> parse_response(View der_octets) {
    der::Reader outer(der_octets);
    der::Reader in = outer.enter(der::sequence_tag, "TimeStampResp");
    Response response;
    der::Reader info = in.enter(der::sequence_tag, "PKIStatusInfo");
    const std::int64_t status = info.read_int64("status");
    if (status < 0 || status > 1'000'000) info.fail("an impossible status");
    response.status = static_cast<int>(status);
    if (info.next_is(der::sequence_tag)) {
        der::Reader strings = info.enter(der::sequence_tag, "statusString");
        while (!strings.at_end()) response.strings.push_back(strings.read_utf8("statusString"));
    }
    if (info.next_is(der::bit_string)) response.fail_info = read_named_bits(info);
    info.finish("PKIStatusInfo");
    if (!in.at_end()) {
        const View token = in.expect(der::sequence_tag, "timeStampToken").whole;
        response.token.emplace(token.begin(), token.end());
    }
    in.finish("TimeStampResp");
    outer.finish("TimeStampResp");
    if (outer.failed()) return Error::usage("not a TimeStampResp: " + outer.fault().text());
    // "When the status contains the value zero or one, a TimeStampToken MUST be present. When [another], MUST
    // NOT".
    const bool yes = response.status == 0 || response.status == 1;
    if (yes && !response.token) return Error::usage("not a TimeStampResp: granted, but without a token");
    if (!yes && response.token) return Error::usage("not a TimeStampResp: a refusal with a token");
    return response;
}

std::string Response::text() const {
    std::string out = status_text(status);
    for (const unsigned bit : fail_info) {
        const auto info = static_cast<FailInfo>(bit);
        constexpr std::array known{FailInfo::bad_alg,
                                   FailInfo::bad_request,
                                   FailInfo::bad_data_format,
                                   FailInfo::time_not_available,
                                   FailInfo::unaccepted_policy,
                                   FailInfo::unaccepted_extension,
                                   FailInfo::add_info_not_available,
                                   FailInfo::system_failure};
        const bool is_known = std::find(known.begin(), known.end(), info) != known.end();
        out += ", " + (is_known ? std::string(name(info)) : "failInfo bit " + std::to_string(bit));
    }
    for (const std::string& line : strings) out += ": " + line;
    return one_line(out, longest_text);  // foreign text goes to a terminal
}

}  // namespace kokuin::tsp
