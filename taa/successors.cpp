#include "taa/successors.h"

#include <utility>

#include "pki/tsu_certificate.h"

namespace kokuin::taa {

Done Successors::show(const TsuSettings& tsu, const pki::Certificate& current, View der, WallTime now) {
    auto next = pki::Certificate::from_der(der);
    if (!next) return Error::no("its next certificate can't be read: " + next.error().text);
    if (*next == current) return {};  // it is the one that is audited already
    if (tsu.successors.empty())
        return Error::no(
            "successors are looked at by the TAA's operators here: send them the new certificate");
    if (next->subject_der() != current.subject_der())
        return Error::no("its next certificate is for " + next->subject_text() + ", not for " +
                         current.subject_text() + ": a successor has the same name");
    if (next->not_before() < current.not_before())
        return Error::no("its next certificate is older than the one it has: a successor is issued later");
    auto authority = pki::load_certificates(tsu.successors);
    if (!authority) return Error::environment("[tsu." + tsu.name + "] successors: " + authority.error().text);
    if (const auto path = pki::check_tsu_certificate(*next, {}, *authority, now); !path)
        return Error::no("its next certificate isn't taken: " + path.error().text);
    const std::lock_guard lock(mutex_);
    waiting_.insert_or_assign(tsu.name, std::move(*next));
    return {};
}

std::optional<pki::Certificate> Successors::take(const std::string& tsu) {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(tsu);
    if (at == waiting_.end()) return std::nullopt;
    auto next = std::move(at->second);
    waiting_.erase(at);
    return next;
}

}  // namespace kokuin::taa
