#include "pki/request.h"

#include <arpa/inet.h>
#include <botan/ecc_key.h>
#include <botan/pk_keys.h>
#include <botan/rsa.h>
#include <botan/x509_key.h>

#include <array>

#include "base/der.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/signed_object.h"

namespace kokuin::pki {
namespace {

constexpr std::string_view extension_request = "1.2.840.113549.1.9.14";
constexpr std::string_view subject_alt_name = "2.5.29.17";
constexpr std::string_view begin_request = "-----BEGIN CERTIFICATE REQUEST-----";
constexpr std::string_view begin_new_line = "-----BEGIN NEW CERTIFICATE REQUEST-----";
constexpr std::string_view end_mark = "-----END ";

/// The DER inside a PEM text; DER stays what it is.
Result<Bytes> unwrapped(View octets) {
    const std::string text = as_text(octets);
    auto begin = begin_request;
    auto from = text.find(begin);
    if (from == std::string::npos) from = text.find(begin = begin_new_line);
    if (from == std::string::npos) {
        if (octets.empty() || octets[0] != der::sequence_tag)
            return Error::usage("no certificate request (PEM: " + std::string(begin_request) + ", or DER)");
        return to_bytes(octets);
    }
    from += begin.size();
    const auto to = text.find(end_mark, from);
    if (to == std::string::npos) return Error::usage("a certificate request whose END line is missing");
    if (text.find("-----BEGIN ", to) != std::string::npos)
        return Error::usage("several things in one file; one certificate request is expected");
    std::string base64;
    for (const char c : text.substr(from, to - from))
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t') base64 += c;
    auto der = from_base64(base64);
    if (!der) return Error::usage("a certificate request that isn't base64");
    return std::move(*der);
}

/// RFC 5280 4.2.1.6: letters, digits and hyphens between points; "*" for the first label. Nothing else, so
/// that no name can be shown as two.
bool is_dns_name(std::string_view text) {
    if (text.rfind("*.", 0) == 0) text.remove_prefix(2);
    if (text.empty() || text.size() > 253 || text.front() == '.' || text.back() == '.' ||
        text.find("..") != std::string_view::npos)
        return false;
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
           std::string_view::npos;
}

std::string name_in_words(const der::Element& name) {
    if (name.tag == der::context(2, false) && is_dns_name(as_text(name.content)))
        return "DNS:" + as_text(name.content);
    if (name.tag == der::context(7, false) && (name.content.size() == 4 || name.content.size() == 16)) {
        std::array<char, INET6_ADDRSTRLEN> text{};
        inet_ntop(name.content.size() == 4 ? AF_INET : AF_INET6, name.content.data(), text.data(),
                  text.size());
        return std::string("IP:") + text.data();
    }
    return "other";
}

/// The value of the subjectAltName in the attributes' extensionRequest (RFC 2985 5.4.2).
Bytes find_alternative_names(der::Reader& attributes) {
    Bytes found;
    while (!attributes.at_end()) {
        der::Reader attribute = attributes.enter(der::sequence_tag, "attribute");
        const auto type = attribute.read_oid("attribute type");
        der::Reader values = attribute.enter(der::set_tag, "attribute values");
        attribute.finish("attribute");
        if (attribute.failed() || type != extension_request) continue;
        der::Reader extensions = values.enter(der::sequence_tag, "extensions");
        while (!extensions.at_end()) {
            der::Reader extension = extensions.enter(der::sequence_tag, "extension");
            const auto id = extension.read_oid("extension identifier");
            if (extension.next_is(der::boolean)) extension.read_boolean("critical");
            auto value = extension.read_octets("extension value");
            if (id != subject_alt_name || extension.failed()) continue;
            if (!found.empty()) extension.fail("a second subjectAltName");
            found = std::move(value);
        }
    }
    return found;
}

}  // namespace

Result<CertificationRequest> CertificationRequest::read(View octets) {
    auto der = unwrapped(octets);
    if (!der) return std::move(der).error();
    CertificationRequest request;
    request.der_ = std::move(*der);
    der::Reader outer(request.der_);
    {
        der::Reader whole = outer.enter(der::sequence_tag, "CertificationRequest");
        outer.finish("CertificationRequest");
        der::Reader info = whole.enter(der::sequence_tag, "CertificationRequestInfo");
        whole.expect(der::sequence_tag, "signature algorithm");
        whole.read_bit_string("signature");
        whole.finish("CertificationRequest");
        if (info.read_int64("version") != 0) info.fail("a version other than v1");
        request.subject_ = to_bytes(info.expect(der::sequence_tag, "subject").whole);
        request.spki_ = to_bytes(info.expect(der::sequence_tag, "subject public key").whole);
        if (info.next_is(der::context(0, true))) {
            der::Reader attributes = info.enter(der::context(0, true), "attributes");
            request.alternative_names_ = find_alternative_names(attributes);
        }
        info.finish("CertificationRequestInfo");
    }
    if (outer.failed()) return Error::usage("no certificate request: " + outer.fault().text());
    if (!request.alternative_names_.empty()) {
        der::Reader in(request.alternative_names_);
        der::Reader names = in.enter(der::sequence_tag, "GeneralNames");
        in.finish("GeneralNames");
        if (names.at_end()) names.fail("GeneralNames without a name");
        while (!names.at_end()) {
            const auto name = names.any();
            if (!names.failed()) request.names_text_.push_back(name_in_words(name));
        }
        if (in.failed()) return Error::usage("a subjectAltName that can't be read: " + in.fault().text());
    }
    request.subject_text_ = one_line(name_text(request.subject_), any_length);
    try {
        const std::unique_ptr<Botan::Public_Key> key(Botan::X509::load_key(request.spki_));
        // One key, one encoding: otherwise it could be certified twice (KEY-4), or be on a curve of its
        // owner's making.
        const auto* ec = dynamic_cast<const Botan::EC_PublicKey*>(key.get());
        const auto* rsa = dynamic_cast<const Botan::RSA_PublicKey*>(key.get());
        if (key->subject_public_key() != request.spki_ || (ec && ec->domain().get_curve_oid().empty()))
            return Error::usage("the request of " + request.subject_text_ +
                                " has a key that isn't written in the one way of RFC 3279 and 5480; make the "
                                "request with another tool");
        if (rsa && (rsa->get_e() < 65537 || rsa->get_e().is_even()))
            return Error::usage("the request of " + request.subject_text_ +
                                " has an RSA key with an exponent below 65537");
        request.algorithm_ = key->algo_name();
        request.bits_ = static_cast<unsigned>(key->key_length());
        const SignedObject signed_request(request.der_);
        if (!has_strong_hash(signed_request, *key))
            return Error::no("the request of " + request.subject_text_ + " is signed with " +
                             signed_request.hash_used_for_signature() + "; SHA-256 or better is needed");
        if (!is_signed_with(signed_request, *key))
            return Error::no("the request of " + request.subject_text_ +
                             " isn't signed by its own key, so nobody has proved to possess it (CA-7); have "
                             "it made again");
    } catch (const std::exception& fault) {
        return Error::usage(one_line(std::string("no certificate request: ") + fault.what(), 200));
    }
    return request;
}

}  // namespace kokuin::pki
