#include "ca/profile.h"

#include <algorithm>
#include <utility>

#include "base/der.h"

namespace kokuin::ca {
namespace {

using std::chrono::hours;

constexpr std::array<std::pair<Profile, std::string_view>, 9> names{{
    {Profile::root, "root"},
    {Profile::issuing, "issuing"},
    {Profile::tsu, "tsu"},
    {Profile::taa, "taa"},
    {Profile::archive, "archive"},
    {Profile::tls_server, "tls-server"},
    {Profile::tls_client, "tls-client"},
    {Profile::channel, "channel"},
    {Profile::ocsp, "ocsp"},
}};

constexpr const char* server_auth = "1.3.6.1.5.5.7.3.1";
constexpr const char* client_auth = "1.3.6.1.5.5.7.3.2";
constexpr const char* time_stamping = "1.3.6.1.5.5.7.3.8";
constexpr const char* ocsp_signing = "1.3.6.1.5.5.7.3.9";

bool has_names(Profile profile) {
    return profile == Profile::tls_server || profile == Profile::tls_client || profile == Profile::channel;
}

/// What keys a profile takes, for people.
std::string_view keys_text(Profile profile) {
    switch (profile) {
        case Profile::tsu:
        case Profile::taa:
            return "RSA with 2048 bits or more (TSA-3, TAA-5)";
        case Profile::archive:
            return "RSA with 2048 bits or more, or Ed25519";
        default:
            return "RSA with 2048 bits or more, or an elliptic curve of 256 to 521 bits";
    }
}

bool takes_key(Profile profile, const pki::CertificationRequest& request) {
    if (request.algorithm() == "RSA") return request.bits() >= 2048 && request.bits() <= 8192;
    if (profile == Profile::tsu || profile == Profile::taa) return false;
    if (profile == Profile::archive) return request.algorithm() == "Ed25519";
    return request.algorithm() == "ECDSA" && request.bits() >= 256 && request.bits() <= 521;
}

}  // namespace

std::string_view name(Profile profile) {
    for (const auto& [value, text] : names)
        if (value == profile) return text;
    return "";
}

std::optional<Profile> profile_from_name(std::string_view text) {
    for (const auto& [value, known] : names)
        if (known == text) return value;
    return std::nullopt;
}

bool has_unique_subject(Profile profile) {
    return !has_names(profile);
}

nanoseconds usual_validity(Profile profile) {
    switch (profile) {
        case Profile::root:
            return hours(24 * 7300);
        case Profile::issuing:
            return hours(24 * 5475);
        case Profile::tsu:
        case Profile::archive:
            return hours(24 * 3650);
        case Profile::taa:
            return hours(24 * 1825);
        case Profile::tls_server:
        case Profile::tls_client:
        case Profile::channel:
            return hours(24 * 397);
        case Profile::ocsp:
            return hours(24 * 90);
    }
    return hours(24);
}

Done check_request(Profile profile, const pki::CertificationRequest& request) {
    const auto bad = [&](const std::string& what) {
        return Error::no("the request of " + request.subject_text() + ": " + what);
    };
    if (!takes_key(profile, request))
        return bad("a key of the kind " + request.algorithm() + " with " + std::to_string(request.bits()) +
                   " bits; the profile " + std::string(name(profile)) + " takes " +
                   std::string(keys_text(profile)));
    if (request.subject_der().size() <= 2) return bad("it names no subject");
    const auto& asked = request.alternative_names_text();
    if (!has_names(profile)) {
        if (!asked.empty())
            return bad("it asks for other names (" + asked.front() + "), which the profile " +
                       std::string(name(profile)) + " doesn't have; make one without");
        return {};
    }
    if (std::find(asked.begin(), asked.end(), "other") != asked.end())
        return bad("it asks for names other than of servers; only DNS names and IP addresses are certified");
    if (asked.empty() && profile != Profile::tls_client)
        return bad(
            "it names no server (subjectAltName); make it with openssl req -addext "
            "subjectAltName=DNS:NAME");
    return {};
}

std::vector<pki::Extension> extensions_of(Profile profile, View spki, View issuer_spki,
                                          View alternative_names, const Addresses& addresses) {
    std::vector<pki::Extension> all;
    // RFC 5280 4.2.1.3: digitalSignature of a CA, because it signs its OCSP responses itself.
    constexpr unsigned of_ca = pki::key_cert_sign | pki::crl_sign | pki::digital_signature;
    switch (profile) {
        case Profile::root:
            all.push_back(pki::basic_constraints_of_ca(std::nullopt));
            all.push_back(pki::key_usage(of_ca));
            break;
        case Profile::issuing:
            all.push_back(pki::basic_constraints_of_ca(0));
            all.push_back(pki::key_usage(of_ca));
            break;
        case Profile::tsu:
        case Profile::taa:
        case Profile::archive:
            all.push_back(pki::basic_constraints_of_end_entity());
            all.push_back(pki::key_usage(pki::digital_signature | pki::non_repudiation));
            break;
        case Profile::tls_server:
        case Profile::tls_client:
        case Profile::channel:
        case Profile::ocsp:
            all.push_back(pki::basic_constraints_of_end_entity());
            all.push_back(pki::key_usage(pki::digital_signature));
            break;
    }
    // RFC 3161 2.3: alone and critical.
    if (profile == Profile::tsu) all.push_back(pki::extended_key_usage({time_stamping}, true));
    if (profile == Profile::tls_server) all.push_back(pki::extended_key_usage({server_auth}, false));
    if (profile == Profile::tls_client) all.push_back(pki::extended_key_usage({client_auth}, false));
    if (profile == Profile::channel)
        all.push_back(pki::extended_key_usage({server_auth, client_auth}, false));
    if (profile == Profile::ocsp) {
        all.push_back(pki::extended_key_usage({ocsp_signing}, false));
        // RFC 6960 4.2.2.2.1: it holds for a short time instead of being looked up.
        all.push_back(pki::ocsp_no_check());
    }
    if (!alternative_names.empty()) all.push_back(pki::subject_alternative_name(alternative_names, false));
    all.push_back(pki::subject_key_identifier(spki));
    if (profile == Profile::root) return all;  // trusted as it is: no issuer, no revocation
    all.push_back(pki::authority_key_identifier(issuer_spki));
    all.push_back(pki::certificate_policies(addresses.policy, addresses.cps));
    if (!addresses.crls.empty()) all.push_back(pki::crl_distribution_points(addresses.crls));
    if (!addresses.ocsp.empty() || !addresses.ca_issuers.empty())
        all.push_back(pki::authority_information_access(
            profile == Profile::ocsp ? std::vector<std::string>() : addresses.ocsp, addresses.ca_issuers));
    return all;
}

}  // namespace kokuin::ca
