#include "hsm/keytool.h"

#include <botan/auto_rng.h>
#include <botan/pk_keys.h>
#include <botan/pkcs10.h>
#include <botan/x509_ext.h>

#include <algorithm>
#include <map>

#include "base/der.h"
#include "hsm/botan_key.h"
#include "pki/certificate.h"

namespace kokuin::hsm::keytool {
namespace {

std::string trimmed(std::string text) {
    text.erase(0, text.find_first_not_of(' '));
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

/// "C=JP,O=Example,CN=TSU 1" as a Name.
Result<Botan::X509_DN> parse_subject(std::string_view text) {
    const auto bad = [&](const std::string& what) {
        return Error::usage(
            "subject '" + std::string(text) + "': " + what +
            "; allowed is e.g. C=JP,O=Example,CN=TSU 1 with C, ST, L, O, OU, CN, serialNumber");
    };
    static const std::map<std::string, std::string> known{{"C", "2.5.4.6"},
                                                          {"ST", "2.5.4.8"},
                                                          {"L", "2.5.4.7"},
                                                          {"O", "2.5.4.10"},
                                                          {"OU", "2.5.4.11"},
                                                          {"CN", "2.5.4.3"},
                                                          {"serialNumber", "2.5.4.5"},
                                                          {"organizationIdentifier", "2.5.4.97"}};
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\') {
            if (++i == text.size()) return bad("it ends in the middle of a quoted character");
            parts.back() += text[i];
        } else if (text[i] == ',')
            parts.emplace_back();
        else
            parts.back() += text[i];
    }
    Botan::X509_DN name;
    for (const auto& part : parts) {
        const auto equals = part.find('=');
        if (equals == std::string::npos) return bad("'" + part + "' is no name=value");
        const auto key = trimmed(part.substr(0, equals));
        const auto value = trimmed(part.substr(equals + 1));
        const auto found = known.find(key);
        if (found == known.end() && !der::is_oid(key)) return bad("'" + key + "' isn't known");
        if (value.empty()) return bad(key + " has no value");
        if (key == "C" && value.size() != 2) return bad("a country has two letters");
        name.add_attribute(Botan::OID(found == known.end() ? key : found->second), value);
    }
    return name;
}

}  // namespace

Result<std::vector<ListedKey>> list(Token& token) {
    auto keys = token.keys();
    if (!keys) return std::move(keys).error();
    const auto objects = token.certificates();
    if (!objects) return objects.error();
    std::vector<pki::Certificate> certificates;
    for (const auto& object : *objects)
        if (auto certificate = pki::Certificate::from_der(object.der))
            certificates.push_back(std::move(*certificate));
    std::vector<ListedKey> all;
    for (const auto& key : *keys) {
        ListedKey listed{key.label,     to_hex(key.id),  key.type,  key.bits,
                         key.sensitive, key.extractable, key.local, {}};
        for (const auto& one : certificates)
            if (!key.spki.empty() && one.spki() == key.spki)
                listed.certificates.push_back(
                    {one.subject_text(), one.issuer_text(), one.not_before(), one.not_after()});
        std::sort(listed.certificates.begin(), listed.certificates.end(),
                  [](const auto& a, const auto& b) { return a.not_after > b.not_after; });
        all.push_back(std::move(listed));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.label < b.label; });
    return all;
}

Result<Key> generate(Token& token, const std::string& label, KeyAlgorithm algorithm,
                     std::optional<unsigned> bits) {
    if (algorithm == KeyAlgorithm::rsa) return token.generate_rsa(label, bits.value_or(2048));
    if (bits) return Error::usage("key '" + label + "': bits are for RSA; leave them away for Ed25519");
    return token.generate_ed25519(label);
}

namespace {

/// What Token::find_key says, with what to do.
Result<Key> find(Token& token, std::string_view key) {
    auto found = token.find_key(key);
    if (!found && found.error().kind == Error::Kind::no)
        return Error::no(found.error().text + "; key list shows those there are, key generate makes one");
    return found;
}

}  // namespace

Done check_subject(std::string_view subject) {
    const auto name = parse_subject(subject);
    return name ? Done() : Done(name.error());
}

Result<Bytes> subject_der(std::string_view subject) {
    const auto name = parse_subject(subject);
    if (!name) return name.error();
    const auto der = name->BER_encode();
    return Bytes(der.begin(), der.end());
}

Result<std::string> csr(Token& token, std::string_view key, std::string_view subject, Purpose purpose) {
    const auto name = parse_subject(subject);
    if (!name) return name.error();
    const auto found = find(token, key);
    if (!found) return found.error();
    try {
        Botan::AutoSeeded_RNG rng;
        Botan::Extensions extensions;
        if (purpose == Purpose::timestamping && found->algorithm() == KeyAlgorithm::rsa) {
            extensions.add(new Botan::Cert_Extension::Key_Usage(Botan::DIGITAL_SIGNATURE), true);
            extensions.add(new Botan::Cert_Extension::Extended_Key_Usage({Botan::OID("1.3.6.1.5.5.7.3.8")}),
                           true);
        }
        return Botan::PKCS10_Request::create(*botan_key(token, *found), *name, extensions, "SHA-256", rng)
            .PEM_encode();
    } catch (const Botan::Exception& fault) {
        return Error::environment("key '" + found->label() + "': no certificate request: " + fault.what());
    }
}

Done import(Token& token, std::string_view key, std::string_view certificate_pem) {
    const auto certificate = pki::Certificate::from_pem(certificate_pem);
    if (!certificate) return certificate.error();
    const auto found = find(token, key);
    if (!found) return found.error();
    if (certificate->spki() != found->spki())
        return Error::no("the certificate of " + certificate->subject_text() + " isn't for the key '" +
                         found->label() + "'; have one issued for its CSR");
    return token.store_certificate(found->label(), found->id(), certificate->der());
}

}  // namespace kokuin::hsm::keytool
