#include "pki/certificate.h"

#include <botan/ber_dec.h>
#include <botan/pk_keys.h>
#include <botan/pkix_types.h>
#include <botan/x509cert.h>
#include <openssl/bio.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/der.h"
#include "base/file.h"

namespace kokuin::pki {

struct Certificate::Content {
    Bytes der;
    Bytes subject, issuer, serial, spki;
    std::string subject_text, issuer_text;
    WallTime not_before, not_after;
    Bytes sha256;
    Bytes sha1;  // every token names its signer's certificate by both
    bool time_stamping_only = false;
    Botan::X509_Certificate botan;
};

namespace {

constexpr std::string_view id_ce_ext_key_usage = "2.5.29.37";
constexpr std::string_view id_kp_time_stamping = "1.3.6.1.5.5.7.3.8";
constexpr std::string_view begin_line = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view end_line = "-----END CERTIFICATE-----";

// Where in the octets of a certificate stands what Botan must see otherwise. Only meaningful once the
// certificate has been read without a fault.
struct Places {
    explicit Places(View octets) : whole(octets) {}
    [[nodiscard]] std::size_t of(View part) const {
        return static_cast<std::size_t>(part.data() - whole.data());
    }

    View whole;
    std::vector<std::size_t> late_years;  // GeneralizedTimes after the year 3000: their four digits
    View version;                         // the first field of TBSCertificate
    View extensions;                      // and its last; empty if there is none
};

// Time ::= CHOICE { UTCTime, GeneralizedTime } (RFC 5280 4.1.2.5), by ourselves: Botan's conversion fails for
// the years that certificates "without end" have.
WallTime read_time(der::Reader& in, Places& places) {
    const bool utc = in.next_is(der::utc_time);
    const View octets = in.expect(utc ? der::utc_time : der::generalized_time_tag, "validity").content;
    std::string text = as_text(octets);
    if (in.failed()) return {};
    if (!utc && text >= "3000") places.late_years.push_back(places.of(octets));
    // RFC 5280 4.1.2.5.1: YY ≥ 50 is 19YY.
    if (utc) text.insert(0, text >= "50" ? "19" : "20");
    if (text.size() == 15 && text.compare(0, 4, "2262") >= 0) {
        text.replace(0, 4, "2260");  // checked for all but the year, then the end of WallTime
        if (from_generalized_time(text))
            return WallTime{seconds{std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1}};
    }
    const auto time = from_generalized_time(text);
    if (!time) in.fail("validity is no time (RFC 5280 4.1.2.5)");
    return time.value_or(WallTime{});
}

constexpr std::string_view id_ce_subject_key_identifier = "2.5.29.14";
constexpr std::string_view id_ce_authority_key_identifier = "2.5.29.35";

// The copy, with key identifiers that say: signed by its own key.
Bytes with_own_key_identifiers(const Bytes& copied, const Places& places, View identifier) {
    const View octets_of_copy = copied;
    const auto same = [&](View part) { return octets_of_copy.subspan(places.of(part), part.size()); };
    Bytes list;
    der::Reader field(same(places.extensions));
    der::Reader explicit_tag = field.enter(der::context(3, true), "extensions");
    der::Reader extensions = explicit_tag.enter(der::sequence_tag, "extensions");
    while (!extensions.at_end()) {
        const der::Element extension = extensions.any();
        der::Reader inside(extension.content, der::Integers::tolerate_long);
        const std::string id = inside.read_oid("extension identifier");
        if (id != id_ce_subject_key_identifier && id != id_ce_authority_key_identifier)
            append(list, extension.whole);
    }
    append(list,
           der::sequence({der::oid(id_ce_subject_key_identifier), der::octets(der::octets(identifier))}));
    append(list, der::sequence({der::oid(id_ce_authority_key_identifier),
                                der::octets(der::sequence({der::tlv(der::context(0, false), identifier)}))}));
    const std::size_t from = places.of(places.version);
    const std::size_t to = places.of(places.extensions);
    return der::sequence({der::sequence({octets_of_copy.subspan(from, to - from),
                                         der::tlv(der::context(3, true), der::sequence({list}))}),
                          octets_of_copy.subspan(to + places.extensions.size())});
}

// Botan takes no date after the year 3100, but RFC 5280 4.1.2.5 has 99991231235959Z for certificates without
// end. It reads such a certificate from a copy with an earlier year and gets the signed octets and the
// signature from the original, so that signatures are checked over what was signed.
class Endless final : public Botan::X509_Certificate {
  public:
    Endless(const Bytes& copied, const Bytes& original) : X509_Certificate(copied) {
        Botan::BER_Decoder in(original);
        decode_from(in);
    }

  private:
    // By decode_from(): keeps what was read of the copy.
    void force_decode() override {}
};

Botan::X509_Certificate for_botan(const Bytes& der, const Places& places, bool is_self_issued) {
    if (places.late_years.empty()) return Botan::X509_Certificate(der);
    // A leap year, as 29 February may stand there; far beyond the end of WallTime.
    constexpr std::string_view year = "3096";
    Bytes copied = der;
    for (const std::size_t at : places.late_years) std::copy(year.begin(), year.end(), &copied[at]);
    Endless certificate(copied, der);
    // Botan tells a self-signed certificate by its key identifiers; where they don't say, by trying the
    // signature, which doesn't fit the copy. So the copy is made to say what is true of the original.
    if (!is_self_issued || certificate.is_self_signed() || places.version.empty() ||
        places.extensions.empty())
        return certificate;
    const auto key = certificate.load_subject_public_key();
    if (!certificate.check_signature(*key)) return certificate;
    const auto& own = certificate.subject_key_id();
    return Endless(with_own_key_identifiers(
                       copied, places, own.empty() ? certificate.subject_public_key_bitstring_sha1() : own),
                   der);
}

// RFC 5280 4.2.1.12. Read by ourselves: Botan doesn't tell apart an EKU that lists an OID twice.
bool only_critical_time_stamping(der::Reader& extensions) {
    bool found = false;
    bool right = false;
    while (!extensions.at_end()) {
        der::Reader extension = extensions.enter(der::sequence_tag, "extension");
        const std::string id = extension.read_oid("extension identifier");
        const bool critical = extension.next_is(der::boolean) && extension.read_boolean("critical");
        const der::Element value = extension.expect(der::octet_string, "extension value");
        if (extension.failed() || id != id_ce_ext_key_usage) continue;
        if (found) return false;
        found = true;
        der::Reader inside(value.content);
        der::Reader purposes = inside.enter(der::sequence_tag, "extended key usage");
        const std::string purpose = purposes.read_oid("purpose");
        purposes.finish("extended key usage");
        inside.finish("extended key usage");
        right = !inside.failed() && critical && purpose == id_kp_time_stamping;
    }
    return right && !extensions.failed();
}

}  // namespace

Result<Certificate> Certificate::from_der(View der_octets) {
    auto content = std::make_shared<Content>();
    content->der = to_bytes(der_octets);
    const View whole = content->der;

    der::Reader outer(whole, der::Integers::tolerate_long);
    der::Reader certificate = outer.enter(der::sequence_tag, "Certificate");
    outer.finish("Certificate");
    Places places(whole);
    {
        der::Reader tbs = certificate.enter(der::sequence_tag, "TBSCertificate");
        if (tbs.next_is(der::context(0, true))) places.version = tbs.any().whole;
        content->serial = tbs.read_integer("serial number");
        tbs.expect(der::sequence_tag, "signature algorithm");
        content->issuer = to_bytes(tbs.expect(der::sequence_tag, "issuer").whole);
        {
            der::Reader validity = tbs.enter(der::sequence_tag, "validity");
            content->not_before = read_time(validity, places);
            content->not_after = read_time(validity, places);
        }
        content->subject = to_bytes(tbs.expect(der::sequence_tag, "subject").whole);
        content->spki = to_bytes(tbs.expect(der::sequence_tag, "subject public key").whole);
        while (!tbs.at_end()) {
            const der::Element field = tbs.any();
            if (field.tag != der::context(3, true)) continue;
            places.extensions = field.whole;
            der::Reader explicit_tag(field.content, der::Integers::tolerate_long);
            der::Reader extensions = explicit_tag.enter(der::sequence_tag, "extensions");
            content->time_stamping_only = only_critical_time_stamping(extensions);
        }
    }
    if (outer.failed()) return Error::usage("not a certificate: " + outer.fault().text());

    try {
        content->botan = for_botan(content->der, places, content->subject == content->issuer);
    } catch (const std::exception& e) {
        return Error::usage(std::string("not a certificate: ") + e.what());
    }
    content->subject_text = name_text(content->subject);
    content->issuer_text = name_text(content->issuer);
    content->sha256 = pki::digest(Hash::sha256, whole);
    content->sha1 = pki::digest(Hash::sha1, whole);
    return Certificate(std::move(content));
}

Result<Certificate> Certificate::from_pem(std::string_view text) {
    auto all = parse_certificates(text, "certificate");
    if (!all) return std::move(all).error();
    if (all->size() != 1) {
        return Error::usage("certificate: one is expected, " + std::to_string(all->size()) + " are there");
    }
    return std::move(all->front());
}

View Certificate::der() const {
    return content_->der;
}
const Bytes& Certificate::subject_der() const {
    return content_->subject;
}
const Bytes& Certificate::issuer_der() const {
    return content_->issuer;
}
const Bytes& Certificate::serial() const {
    return content_->serial;
}
const Bytes& Certificate::spki() const {
    return content_->spki;
}
const std::string& Certificate::subject_text() const {
    return content_->subject_text;
}
const std::string& Certificate::issuer_text() const {
    return content_->issuer_text;
}
WallTime Certificate::not_before() const {
    return content_->not_before;
}
WallTime Certificate::not_after() const {
    return content_->not_after;
}
bool Certificate::valid_at(WallTime at) const {
    return content_->not_before <= at && at < content_->not_after + std::chrono::seconds{1};
}
const Bytes& Certificate::sha256() const {
    return content_->sha256;
}
Bytes Certificate::digest(Hash hash) const {
    if (hash == Hash::sha256) return content_->sha256;
    if (hash == Hash::sha1) return content_->sha1;
    return pki::digest(hash, content_->der);
}
bool Certificate::is_time_stamping_only() const {
    return content_->time_stamping_only;
}
bool Certificate::is_self_issued() const {
    return content_->subject == content_->issuer;
}
const Botan::X509_Certificate& Certificate::botan() const {
    return content_->botan;
}

std::string Certificate::pem() const {
    const std::string base64 = to_base64(content_->der);
    std::string out(begin_line);
    out += '\n';
    for (std::size_t i = 0; i < base64.size(); i += 64) {
        out += base64.substr(i, 64);
        out += '\n';
    }
    out += end_line;
    out += '\n';
    return out;
}

Result<std::vector<Certificate>> parse_certificates(std::string_view pem, const std::string& where) {
    std::vector<Certificate> all;
    for (std::size_t from = pem.find(begin_line); from != std::string_view::npos;
         from = pem.find(begin_line, from)) {
        const std::string which = where + ": certificate " + std::to_string(all.size() + 1);
        from += begin_line.size();
        const std::size_t to = pem.find(end_line, from);
        if (to == std::string_view::npos) return Error::usage(which + ": its END line is missing");
        std::string base64;
        for (const char c : pem.substr(from, to - from)) {
            if (c != '\n' && c != '\r' && c != ' ' && c != '\t') base64 += c;
        }
        const auto octets = from_base64(base64);
        if (!octets) return Error::usage(which + ": not base64");
        auto certificate = Certificate::from_der(*octets);
        if (!certificate) return std::move(certificate).error().in(which);
        all.push_back(std::move(*certificate));
        from = to + end_line.size();
    }
    if (all.empty()) return Error::usage(where + ": no certificate in it (PEM is expected)");
    return all;
}

Result<std::vector<Certificate>> load_certificates(const std::string& path) {
    auto file = read_file(path);
    if (!file) {
        auto error = std::move(file).error();
        // Somebody named a file that isn't there; all else is for whoever keeps the machine.
        if (::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
            error.kind = Error::Kind::usage;
        return error;
    }
    return parse_certificates(as_text(*file), path);
}

std::string name_text(View name_der) {
    const std::uint8_t* at = name_der.data();
    const std::unique_ptr<X509_NAME, decltype(&X509_NAME_free)> parsed(
        d2i_X509_NAME(nullptr, &at, static_cast<long>(name_der.size())), &X509_NAME_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
    // RFC 4514 leaves UTF-8 as it is; only its RFC 2253 forerunner's habit of \XX is switched off here.
    constexpr unsigned long flags = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
    if (!parsed || !memory || X509_NAME_print_ex(memory.get(), parsed.get(), 0, flags) < 0) {
        return "(unreadable name)";
    }
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

bool same_name(View a, View b) {
    try {
        Botan::X509_DN names[2];
        for (auto& [octets, name] : {std::pair<View, Botan::X509_DN&>(a, names[0]), {b, names[1]}}) {
            Botan::BER_Decoder in(octets.data(), octets.size());
            name.decode_from(in);
        }
        return names[0] == names[1];
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace kokuin::pki
