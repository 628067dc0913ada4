#include "pki/revocation.h"

#include <botan/data_src.h>
#include <botan/pem.h>
#include <botan/pk_keys.h>
#include <botan/pkix_types.h>
#include <botan/x509_crl.h>
#include <botan/x509cert.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace kokuin::pki {
namespace {

const std::string pem_label = "X509 CRL";

/// Throws where no clock could show it. The end of time (RFC 5280 4.1.2.5: year 9999) is further than ours
/// reaches.
WallTime wall_time(const Botan::X509_Time& time) {
    constexpr auto last = std::chrono::time_point_cast<std::chrono::seconds>(WallTime::max());
    const auto seconds_since = static_cast<std::int64_t>(time.time_since_epoch());
    return seconds_since > last.time_since_epoch().count() ? WallTime(last)
                                                           : WallTime(std::chrono::seconds(seconds_since));
}

// RFC 5280 5.3.1.
std::string_view reason_text(Botan::CRL_Code reason) {
    switch (reason) {
        case Botan::KEY_COMPROMISE:
            return "key compromise";
        case Botan::CA_COMPROMISE:
            return "CA compromise";
        case Botan::AFFILIATION_CHANGED:
            return "affiliation changed";
        case Botan::SUPERSEDED:
            return "superseded";
        case Botan::CESSATION_OF_OPERATION:
            return "cessation of operation";
        case Botan::CERTIFICATE_HOLD:
            return "on hold";
        default:
            return "no reason given";
    }
}

/// When the newest list of this issuer was made; nothing if there is none.
std::optional<WallTime> newest_of(const Crls& crls, const std::string& issuer) {
    std::optional<WallTime> newest;
    for (const auto& crl : crls)
        if (crl.issuer_text() == issuer && (!newest || *newest < crl.this_update()))
            newest = crl.this_update();
    return newest;
}

/// Why these lists don't replace those; empty: they do.
std::string older_than(const Crls& now, const Crls& before) {
    for (const auto& crl : now) {
        const auto issuer = crl.issuer_text();
        const auto old = newest_of(before, issuer);
        if (const auto made = newest_of(now, issuer); old && *made < *old)
            return "the CRL of " + issuer + " of " + to_rfc3339(*made, 0) + " is older than the one of " +
                   to_rfc3339(*old, 0) + " that it would replace";
    }
    return "";
}

Result<Crls> parse_crls(View content, const std::string& path) {
    const auto wrong = [&path](const std::string& what) { return Error::environment(path + ": " + what); };
    const auto text = as_text(content);
    Crls out;
    if (text.find("-----BEGIN ") == std::string_view::npos) {
        auto one = Crl::from_der(content);
        if (!one) return wrong(one.error().text);
        out.push_back(std::move(*one));
        return out;
    }
    const std::string begin = "-----BEGIN " + pem_label + "-----";
    try {
        // Each where it begins: what stands between them (openssl crl -text) may be of any length.
        for (auto at = text.find(begin); at != std::string_view::npos; at = text.find(begin, at + 1)) {
            Botan::DataSource_Memory source(content.data() + at, content.size() - at);
            const auto der = Botan::PEM_Code::decode_check_label(source, pem_label);
            auto one = Crl::from_der(View(der.data(), der.size()));
            if (!one) return wrong(one.error().text);
            out.push_back(std::move(*one));
        }
    } catch (const std::exception& fault) {
        return wrong(one_line(std::string("no PEM: ") + fault.what(), 200));
    }
    if (out.empty()) return wrong("holds no CRL (-----BEGIN X509 CRL-----)");
    return out;
}

}  // namespace

Result<Crl> Crl::from_der(View der) {
    try {
        Crl crl(std::make_shared<const Botan::X509_CRL>(std::vector<std::uint8_t>(der.begin(), der.end())));
        // Times that no clock knows (before 1970, say) show here, before anything rests on the list.
        crl.this_update_ = wall_time(crl.botan_->this_update());
        if (crl.botan_->next_update().time_is_set()) crl.next_update_ = wall_time(crl.botan_->next_update());
        return crl;
    } catch (const std::exception& fault) {
        return Error::no(one_line(std::string("no CRL: ") + fault.what(), 200));
    }
}

std::string Crl::issuer_text() const {
    const auto der = botan_->issuer_dn().BER_encode();
    return name_text(View(der.data(), der.size()));
}

WallTime Crl::this_update() const {
    return this_update_;
}

std::optional<WallTime> Crl::next_update() const {
    return next_update_;
}

std::vector<Bytes> Crl::serials() const {
    std::vector<Bytes> all;
    for (const auto& entry : botan_->get_revoked()) all.push_back(entry.serial_number());
    return all;
}

bool Crl::is_of(const Certificate& issuer) const {
    try {
        if (botan_->issuer_dn() != issuer.botan().subject_dn()) return false;
        if (!issuer.botan().allowed_usage(Botan::CRL_SIGN)) return false;
        return botan_->check_signature(*issuer.botan().load_subject_public_key());
    } catch (const std::exception&) {
        return false;  // a key or a signature of no known kind: nothing that `issuer` has signed
    }
}

std::optional<std::string> Crl::revokes(const Certificate& certificate, const Certificate& issuer) const {
    try {
        // Not Botan's is_revoked(): where the CA has changed how it makes key identifiers, that finds nobody.
        const auto& serial = certificate.botan().serial_number();
        const auto& all = botan_->get_revoked();
        const auto entry = std::find_if(all.begin(), all.end(), [&serial](const Botan::CRL_Entry& one) {
            return one.serial_number() == serial && one.reason_code() != Botan::REMOVE_FROM_CRL;
        });
        if (entry == all.end() || !is_of(issuer)) return std::nullopt;
        return certificate.subject_text() + " is revoked since " +
               to_rfc3339(wall_time(entry->expire_time()), 0) + " (" +
               std::string(reason_text(entry->reason_code())) + ")";
    } catch (const std::exception& fault) {
        return certificate.subject_text() + " can't be looked for in the CRL: " + fault.what();
    }
}

Result<Crls> load_crls(const std::string& path) {
    const auto content = read_file(path);
    if (!content) {
        auto error = content.error();
        if (::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
            error.kind = Error::Kind::usage;
        return error;
    }
    return parse_crls(*content, path);
}

std::optional<std::string> find_revoked(const std::vector<Certificate>& path, const Crls& crls) {
    for (std::size_t i = 0; i + 1 < path.size(); ++i)
        for (const auto& crl : crls)
            if (auto why = crl.revokes(path[i], path[i + 1])) return why;
    return std::nullopt;
}

std::optional<std::string> find_uncovered(const std::vector<Certificate>& path, const Crls& crls) {
    for (std::size_t i = 0; i + 1 < path.size(); ++i)
        if (std::none_of(crls.begin(), crls.end(), [&](const Crl& crl) { return crl.is_of(path[i + 1]); }))
            return path[i].subject_text();
    return std::nullopt;
}

CrlFiles::Stamp CrlFiles::stamp_of(const std::string& path) {
    struct stat seen {};
    if (::stat(path.c_str(), &seen) != 0) return {};
    return {seen.st_mtim.tv_sec * 1'000'000'000 + seen.st_mtim.tv_nsec, seen.st_size, seen.st_ino};
}

Result<std::unique_ptr<CrlFiles>> CrlFiles::open(std::vector<std::string> paths) {
    auto made = std::make_unique<CrlFiles>();
    Crls all;
    for (auto& path : paths) {
        const auto stamp = stamp_of(path);  // before it is read: what changes meanwhile is read again
        auto crls = load_crls(path);
        if (!crls) return std::move(crls).error();
        all.insert(all.end(), crls->begin(), crls->end());
        made->files_.push_back({std::move(path), stamp, std::move(*crls), ""});
    }
    made->all_ = std::make_shared<const Crls>(std::move(all));
    return made;
}

std::shared_ptr<const Crls> CrlFiles::current() {
    const std::lock_guard lock(mutex_);
    bool changed = false;
    for (auto& file : files_) {
        const auto stamp = stamp_of(file.path);
        if (stamp == file.stamp) {
            file.trouble.clear();
            continue;
        }
        auto crls = load_crls(file.path);
        if (!crls) {
            // Half written, perhaps: it is looked at again the next time.
            file.trouble = crls.error().text;
            continue;
        }
        if (const auto older = older_than(*crls, file.crls); !older.empty()) {
            file.trouble = file.path + ": " + older;
            continue;
        }
        file.stamp = stamp;
        file.crls = std::move(*crls);
        file.trouble.clear();
        changed = true;
    }
    if (changed) {
        Crls all;
        for (const auto& file : files_) all.insert(all.end(), file.crls.begin(), file.crls.end());
        all_ = std::make_shared<const Crls>(std::move(all));
    }
    return all_;
}

std::vector<std::string> CrlFiles::troubles(WallTime now) {
    (void)current();
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& file : files_) {
        if (!file.trouble.empty()) out.push_back(file.trouble + "; what it said before still counts");
        for (const auto& crl : file.crls)
            if (const auto due = crl.next_update(); due && *due < now)
                out.push_back(file.path + ": the CRL of " + crl.issuer_text() + " ended on " +
                              to_rfc3339(*due, 0) + "; fetch the next one");
    }
    return out;
}

}  // namespace kokuin::pki
