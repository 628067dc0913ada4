#include "tsa/protocol/request.h"

#include <algorithm>
#include <utility>

#include "base/der.h"

namespace kokuin::tsp {

std::string_view name(FailInfo info) {
    switch (info) {
        case FailInfo::bad_alg:
            return "badAlg";
        case FailInfo::bad_request:
            return "badRequest";
        case FailInfo::bad_data_format:
            return "badDataFormat";
        case FailInfo::time_not_available:
            return "timeNotAvailable";
        case FailInfo::unaccepted_policy:
            return "unacceptedPolicy";
        case FailInfo::unaccepted_extension:
            return "unacceptedExtension";
        case FailInfo::add_info_not_available:
            return "addInfoNotAvailable";
        case FailInfo::system_failure:
            return "systemFailure";
    }
    return "systemFailure";
}

Rejection reject(FailInfo info, std::string detail) {
    // Close to the words RFC 3161 2.4.2 explains the bits with.
    const auto text = [&]() -> const char* {
        switch (info) {
            case FailInfo::bad_alg:
                return "The hash algorithm is not recognized or not accepted.";
            case FailInfo::bad_request:
                return "The request is not permitted or not supported.";
            case FailInfo::bad_data_format:
                return "The data submitted has the wrong format.";
            case FailInfo::time_not_available:
                return "The time source is not available.";
            case FailInfo::unaccepted_policy:
                return "The requested policy is not supported.";
            case FailInfo::unaccepted_extension:
                return "A requested extension is not supported.";
            case FailInfo::add_info_not_available:
                return "The additional information requested is not available.";
            case FailInfo::system_failure:
                return "The request cannot be handled due to a system failure.";
        }
        return "The request cannot be handled due to a system failure.";
    };
    return {info, text(), std::move(detail)};
}

Result<Request, Rejection> parse_request(View der_octets) {
    const auto bad_format = [](const der::Reader& reader) {
        return reject(FailInfo::bad_data_format, "request: " + reader.fault().text());
    };
    der::Reader outer(der_octets);
    der::Reader in = outer.enter(der::sequence_tag, "TimeStampReq");
    Request request;

    const Bytes version = in.read_integer("version");
    if (in.failed()) return bad_format(in);
    if (version != Bytes{1}) {
        return reject(FailInfo::bad_request, "request: version (hex) " + to_hex(version) + " instead of 1");
    }

    der::Reader imprint = in.enter(der::sequence_tag, "messageImprint");
    {
        const der::Element algorithm = imprint.expect(der::sequence_tag, "hashAlgorithm");
        request.algorithm.assign(algorithm.whole.begin(), algorithm.whole.end());
        // A Reader of its own, so that its offsets count from the AlgorithmIdentifier; the text says so.
        der::Reader own(algorithm.whole);
        der::Reader fields = own.enter(der::sequence_tag, "hashAlgorithm");
        request.hash_oid = fields.read_oid("hash algorithm");
        std::optional<der::Element> parameters;
        if (!fields.at_end()) parameters = fields.any();
        fields.finish("hashAlgorithm");
        if (imprint.failed()) return bad_format(imprint);
        if (own.failed()) {
            return reject(FailInfo::bad_data_format, "request: in hashAlgorithm: " + own.fault().text());
        }
        // RFC 5754 2: absent, or NULL. Other parameters would make it another algorithm.
        if (parameters && (parameters->tag != der::null_tag || !parameters->content.empty())) {
            return reject(FailInfo::bad_alg,
                          "request: hash algorithm " + request.hash_oid + " with parameters");
        }
    }
    request.imprint = imprint.read_octets("hashedMessage");
    imprint.finish("messageImprint");

    if (in.next_is(der::object_identifier)) request.policy = in.read_oid("reqPolicy");
    if (in.next_is(der::integer_tag)) request.nonce = in.read_integer("nonce");
    if (in.next_is(der::boolean)) {
        request.cert_req = in.read_boolean("certReq");
        // X.690 11.5: a value equal to its DEFAULT is left out.
        if (!request.cert_req) in.fail("certReq FALSE written out");
    }
    if (in.next_is(der::context(0, true))) {
        der::Reader extensions = in.enter(der::context(0, true), "extensions");
        if (extensions.at_end()) extensions.fail("no extension in extensions");  // SIZE (1..MAX)
        while (!extensions.at_end()) {
            der::Reader fields = extensions.enter(der::sequence_tag, "extension");
            Extension extension;
            extension.oid = fields.read_oid("extension identifier");
            if (fields.next_is(der::boolean)) {
                extension.critical = fields.read_boolean("critical");
                if (!extension.critical) fields.fail("critical FALSE written out");
            }
            extension.value = fields.read_octets("extension value");
            fields.finish("extension");
            request.extensions.push_back(std::move(extension));
        }
    }
    in.finish("the fields of TimeStampReq");
    outer.finish("TimeStampReq");
    if (outer.failed()) return bad_format(outer);
    return request;
}

Bytes encode(const Request& request) {
    Bytes body = der::integer(1);
    const Bytes algorithm =
        request.algorithm.empty() ? der::algorithm(request.hash_oid, true) : request.algorithm;
    append(body, der::sequence({algorithm, der::octets(request.imprint)}));
    if (request.policy) append(body, der::oid(*request.policy));
    if (request.nonce) append(body, der::integer_octets(*request.nonce));
    if (request.cert_req) append(body, der::boolean_true());
    if (!request.extensions.empty()) {
        Bytes extensions;
        for (const Extension& extension : request.extensions) {
            append(extensions,
                   der::sequence({der::oid(extension.oid), extension.critical ? der::boolean_true() : Bytes{},
                                  der::octets(extension.value)}));
        }
        append(body, der::tlv(der::context(0, true), extensions));
    }
    return der::tlv(der::sequence_tag, body);
}

}  // namespace kokuin::tsp
