#include "tsa/protocol/collation.h"

#include "base/der.h"

namespace kokuin::tsp {

Result<std::optional<VerifyRequest>> parse_verify_request(View octets) {
    der::Reader in(octets, der::Integers::tolerate_long);
    der::Reader request = in.enter(der::sequence_tag, "VerifyReq");
    if (!request.next_is(der::integer_tag)) return std::optional<VerifyRequest>();
    if (request.read_int64("version") != 1) request.fail("an unknown version");
    VerifyRequest read;
    const auto token = request.expect(der::sequence_tag, "tst");
    read.token.assign(token.whole.begin(), token.whole.end());
    if (request.next_is(der::octet_string) || request.next_is(der::context(0, false))) {
        const auto id = request.any();
        read.request_id.assign(id.whole.begin(), id.whole.end());
    }
    request.finish("VerifyReq");
    in.finish("VerifyReq");
    if (in.failed()) return Error::usage("not a VerifyReq (ISO/IEC 18014-1): " + in.fault().text());
    return std::optional<VerifyRequest>(std::move(read));
}

Bytes verify_response(const VerifyRequest& request, const std::optional<std::string>& rejected) {
    // RFC 3161 2.4.2: PKIStatusInfo { status, statusString OPTIONAL, failInfo OPTIONAL }
    const Bytes status = rejected ? der::sequence({der::integer(2), der::sequence({der::utf8(*rejected)})})
                                  : der::sequence({der::integer(0)});
    return der::sequence({der::integer(1), status, request.token, request.request_id});
}

std::vector<std::string> differences(const Token& a, const Token& b) {
    std::vector<std::string> found;
    if (equal(a.der, b.der)) return found;
    const auto differ = [&found](bool same, const char* name) {
        if (!same) found.emplace_back(name);
    };
    const TstInfo& x = a.tst_info;
    const TstInfo& y = b.tst_info;
    differ(x.policy == y.policy, "policy");
    differ(x.algorithm == y.algorithm, "hash_algorithm");
    differ(x.imprint == y.imprint, "imprint");
    differ(x.serial == y.serial && x.negative_serial == y.negative_serial, "serial");
    differ(x.gen_time == y.gen_time, "gen_time");
    differ(x.accuracy == y.accuracy, "accuracy");
    differ(x.ordering == y.ordering, "ordering");
    differ(x.nonce == y.nonce, "nonce");
    differ(x.tsa == y.tsa, "tsa");
    if (found.empty()) differ(a.tst_info_der == b.tst_info_der, "tst_info");
    differ(a.signed_attributes == b.signed_attributes, "signed_attributes");
    differ(a.signature == b.signature && a.signature_oid == b.signature_oid &&
               a.signature_parameters == b.signature_parameters && a.digest_oid == b.digest_oid,
           "signature");
    const auto same_tacs = [&] {
        if (a.tacs.size() != b.tacs.size()) return false;
        for (std::size_t i = 0; i < a.tacs.size(); ++i)
            if (a.tacs[i].der != b.tacs[i].der || a.tacs[i].placement != b.tacs[i].placement) return false;
        return true;
    };
    differ(a.certificates == b.certificates && same_tacs(), "certificates");
    if (found.empty()) found.emplace_back("encoding");
    return found;
}

}  // namespace kokuin::tsp
