#include "tsa/revocation_watch.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "pki/ocsp.h"
#include "pki/pointers.h"

namespace kokuin::tsa {
namespace {

constexpr nanoseconds nobody_asks = std::chrono::hours(24);
constexpr std::size_t largest_answer = 16U << 20U;

std::string url_text(const net::Url& url) {
    return "http://" + config::to_text(config::Endpoint{url.host, url.port}) + url.path;
}

/// Of these the ones that can be fetched; ldap and https are passed over.
std::vector<net::Url> usable(const std::vector<std::string>& urls) {
    std::vector<net::Url> out;
    for (const auto& text : urls)
        if (auto url = net::parse_url(text); url && !url->https) out.push_back(std::move(*url));
    return out;
}

void join(std::string& all, const std::string& more) {
    if (!all.empty() && !more.empty()) all += "; ";
    all += more;
}

}  // namespace

Fetch fetch_over_http(nanoseconds timeout) {
    return [timeout](const net::Url& url, const net::Call& call) {
        return net::request_once(url, call, largest_answer, timeout);
    };
}

Result<std::unique_ptr<RevocationWatch>> RevocationWatch::make(RevocationSettings settings,
                                                               const tac::clock::StampingClock& clock,
                                                               Fetch fetch) {
    if (::mkdir(settings.cache.c_str(), 0755) != 0 && errno != EEXIST)
        return Error::environment("[revocation] cache: " + settings.cache + ": " + std::strerror(errno));
    std::vector<Source> sources;
    for (const auto& one : settings.sources) {
        auto issuer = pki::load_certificates(one.issuer);
        if (!issuer) return std::move(issuer).error().in("[revocation.issuer." + one.name + "] certificate");
        sources.push_back({issuer->front(), one.ocsp, one.crl});
    }
    auto made =
        std::unique_ptr<RevocationWatch>(new RevocationWatch(std::move(settings), clock, std::move(fetch)));
    made->sources_ = std::move(sources);
    return made;
}

void RevocationWatch::stop() {
    stopping_ = true;
    ticker_.stop();
}

AnswerRules RevocationWatch::rules(bool kept) const {
    return {2 * settings_.every + settings_.timeout, kept};
}

nanoseconds RevocationWatch::first_back_off() const {
    return std::min<nanoseconds>(settings_.every, seconds(10));
}

std::string RevocationWatch::file_of(const Entry& entry, Slot slot) const {
    // The same certificate may have issuers of one name and key, and other names.
    return settings_.cache + '/' + to_hex(entry.certificate.sha256()).substr(0, 32) + '-' +
           to_hex(entry.issuer.sha256()).substr(0, 16) + (slot == &Entry::by_ocsp ? ".ocsp" : ".crl");
}

std::shared_ptr<RevocationWatch::Entry> RevocationWatch::make_entry(const pki::Certificate& certificate,
                                                                    const pki::Certificate& issuer,
                                                                    const tac::clock::Reading& now) const {
    auto entry = std::make_shared<Entry>(Entry{certificate, issuer});
    auto pointers = pki::pointers_of(certificate);
    for (const auto& source : sources_) {
        if (source.issuer != issuer) continue;
        if (!source.ocsp.empty()) pointers.ocsp = {source.ocsp};
        if (!source.crl.empty()) pointers.crls = {source.crl};
    }
    entry->ocsp = usable(pointers.ocsp);
    entry->crls = usable(pointers.crls);
    entry->since = entry->due = now.after;
    if (entry->ocsp.empty() && entry->crls.empty()) {
        entry->due = MonoTime::max();
        entry->tried = true;
        entry->trouble =
            "its certificate names no http place to ask at; name one in [revocation.issuer.NAME]";
    }
    // Nothing is believed because it lies there: it is judged like anything that comes.
    const auto kept = [&](Slot slot) { return read_file(file_of(*entry, slot), largest_answer); };
    if (const auto octets = kept(&Entry::by_crl))
        if (auto answer = read_crl_answer(*octets, certificate, issuer, now.wall, rules(true)))
            entry->by_crl = std::move(*answer);
    if (const auto octets = kept(&Entry::by_ocsp)) {
        std::optional<pki::Crl> crl;
        if (entry->by_crl)
            if (auto read = pki::Crl::from_der(entry->by_crl->der)) crl = std::move(*read);
        if (auto answer =
                read_ocsp_answer(*octets, certificate, issuer, now.wall, crl ? &*crl : nullptr, rules(true)))
            entry->by_ocsp = std::move(*answer);
    }
    return entry;
}

std::shared_ptr<RevocationWatch::Entry> RevocationWatch::entry_of(const pki::Certificate& certificate,
                                                                  const pki::Certificate& issuer,
                                                                  const tac::clock::Reading& now) {
    auto& entry = entries_[to_hex(certificate.sha256()) + to_hex(issuer.sha256())];
    if (!entry) entry = make_entry(certificate, issuer, now);
    entry->asked = now.after;
    return entry;
}

PathRevocation RevocationWatch::judge(const std::vector<pki::Certificate>& path, const pki::Crls* files) {
    const auto now = clock_.read();
    PathRevocation out;
    if (files) out.revoked = pki::find_revoked(path, *files);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
        const auto& certificate = path[i];
        const auto entry = entry_of(certificate, path[i + 1], now);
        std::optional<WallTime> end;  // of the last good answer
        for (const auto* answer : {&entry->by_ocsp, &entry->by_crl}) {
            if (!*answer) continue;
            if ((*answer)->revoked) {
                if (!out.revoked) out.revoked = (*answer)->text;
            } else {
                end = std::max(end.value_or((*answer)->until), (*answer)->until);
            }
        }
        if (files && (!end || *end < now.wall))
            for (const auto& crl : *files)
                if (const auto due = crl.next_update();
                    due && crl.covers(certificate, path[i + 1], std::min(now.wall, *due)))
                    end = std::max(end.value_or(*due), *due);

        const bool known = end && now.wall <= *end;
        // Where no answer ever came, the grace counts from the first question on.
        const auto grace = settings_.hard ? nanoseconds(0) : settings_.grace;
        const auto left = end                      ? nanoseconds(*end - now.wall) + grace
                          : grace > nanoseconds(0) ? grace - (now.after - entry->since)
                                                   : nanoseconds(-1);
        const bool closed = !known && left < nanoseconds(0);
        if (!closed)
            out.closes_at = std::min(out.closes_at.value_or(now.wall + left), WallTime(now.wall + left));
        if (known) continue;
        auto text = "nobody knows whether " + certificate.subject_text() + " is revoked: " +
                    (end            ? "the last answer ended on " + to_rfc3339(*end, 0)
                     : entry->tried ? std::string("no answer has come yet")
                                    : std::string("its issuer is being asked"));
        if (!entry->trouble.empty()) text += " (" + entry->trouble + ")";
        if (closed && !out.closed) out.closed = text;
        out.unknown.push_back({certificate, std::move(text), entry->tried});
    }
    if (out.closed) out.closes_at.reset();
    return out;
}

void RevocationWatch::tick() {
    const auto now = clock_.read();
    std::vector<std::shared_ptr<Entry>> due;
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(entries_, [&](const auto& one) { return now.after - one.second->asked > nobody_asks; });
        for (const auto& [key, entry] : entries_)
            if (entry->due <= now.after) due.push_back(entry);
    }
    Fetched fetched;
    for (const auto& entry : due) {
        if (stopping_) break;
        try {
            look_at(*entry, fetched);
        } catch (const std::exception& fault) {
            // Whatever comes over the network must not end the server.
            settle(*entry, one_line(std::string("fault: ") + fault.what(), 600));
        }
    }
}

void RevocationWatch::look_at(Entry& entry, Fetched& fetched) {
    // Its answers are changed by this thread alone, so they may be read here without the lock.
    std::string trouble;
    bool done = false;
    if (!entry.ocsp.empty()) {
        const auto why = ask_ocsp(entry, fetched);
        done = why.empty();
        join(trouble, why);
    }
    // What a CRL has called revoked, only a CRL calls good again.
    if (!entry.crls.empty() && !stopping_ && (!done || (entry.by_crl && entry.by_crl->revoked))) {
        const auto why = ask_crl(entry, fetched);
        if (why.empty()) {
            done = true;
        } else {
            join(trouble, why);
        }
    }
    if (!stopping_) settle(entry, done ? "" : one_line(trouble, 600));
}

void RevocationWatch::settle(Entry& entry, const std::string& trouble) {
    const auto now = clock_.read();
    const std::lock_guard lock(mutex_);
    if (trouble.empty()) {
        // At the earlier of `every` and some time before the answer ends, so that a failure can be mended.
        nanoseconds left = settings_.every;
        for (const auto* answer : {&entry.by_ocsp, &entry.by_crl})
            if (*answer && (*answer)->until > now.wall)
                left = std::min<nanoseconds>(left, ((*answer)->until - now.wall) / 4 * 3);
        entry.due = now.after + std::clamp(left, first_back_off(), settings_.every);
        entry.back_off = nanoseconds(0);
        if (!entry.trouble.empty())
            spdlog::info("revocation certificate=\"{}\" text=\"its issuer answers again\"",
                         entry.certificate.subject_text());
    } else {
        entry.back_off = std::clamp<nanoseconds>(2 * entry.back_off, first_back_off(), settings_.every);
        entry.due = now.after + entry.back_off;
        if (entry.trouble != trouble)
            spdlog::warn("revocation certificate=\"{}\" text=\"no answer: {}\"",
                         entry.certificate.subject_text(), trouble);
    }
    entry.trouble = trouble;
    entry.tried = true;
}

std::string RevocationWatch::ask_ocsp(Entry& entry, Fetched& fetched) {
    const auto& [certificate, issuer] = std::tie(entry.certificate, entry.issuer);
    net::Call call;
    call.method = "POST";  // RFC 6960 A.1; every responder takes it
    call.content_type = "application/ocsp-request";
    // SHA-1 here protects nothing, and is the hash that every responder finds its certificates by (RFC 5019
    // 2.1.1).
    call.body =
        pki::OcspRequest{{pki::CertId::of(certificate, issuer, pki::Hash::sha1)}, std::nullopt}.encode();
    std::string trouble;
    for (const auto& url : entry.ocsp) {
        const auto where = url_text(url);
        const auto octets = get(url, call, to_hex(certificate.sha256()), fetched);
        if (!octets) {
            join(trouble, octets.error().text);
            continue;
        }
        const auto now = clock_.read().wall;
        std::optional<pki::Crl> crl;
        if (wants_crl(*octets, certificate, issuer, now)) {
            (void)ask_crl(entry, fetched);
            if (entry.by_crl)
                if (auto read = pki::Crl::from_der(entry.by_crl->der)) crl = std::move(*read);
        }
        auto answer =
            read_ocsp_answer(*octets, certificate, issuer, now, crl ? &*crl : nullptr, rules(false));
        const auto why = answer ? take(entry, &Entry::by_ocsp, std::move(*answer)) : answer.error().text;
        if (why.empty()) return "";
        join(trouble, where + ": " + why);
    }
    return trouble;
}

std::string RevocationWatch::ask_crl(Entry& entry, Fetched& fetched) {
    std::string trouble = entry.crls.empty() ? "no place is named where a CRL could be fetched" : "";
    for (const auto& url : entry.crls) {
        const auto octets = get(url, {}, "", fetched);
        if (!octets) {
            join(trouble, octets.error().text);
            continue;
        }
        auto answer =
            read_crl_answer(*octets, entry.certificate, entry.issuer, clock_.read().wall, rules(false));
        const auto why = answer ? take(entry, &Entry::by_crl, std::move(*answer)) : answer.error().text;
        if (why.empty()) return "";
        join(trouble, url_text(url) + ": " + why);
    }
    return trouble;
}

std::string RevocationWatch::take(Entry& entry, Slot slot, RevocationAnswer answer) {
    // Believed, since clocks differ, but nothing rests on it any more: others are asked, and soon again.
    const auto ended = !answer.revoked && answer.until < clock_.read().wall
                           ? "the answer ended on " + to_rfc3339(answer.until, 0)
                           : std::string();
    const auto& known = entry.*slot;
    if (known && (answer.this_update < known->this_update ||
                  (answer.this_update == known->this_update && known->revoked && !answer.revoked)))
        return "the answer of " + to_rfc3339(answer.this_update, 0) + " is older than the one of " +
               to_rfc3339(known->this_update, 0) + " that it would replace";
    if (!known || known->der != answer.der)
        if (auto done = write_file(file_of(entry, slot), answer.der); !done)
            spdlog::warn("revocation text=\"an answer isn't kept for the next start: {}\"",
                         done.error().text);
    const std::lock_guard lock(mutex_);
    entry.*slot = std::move(answer);
    return ended;
}

Result<Bytes> RevocationWatch::get(const net::Url& url, net::Call call, std::string_view key,
                                   Fetched& fetched) const {
    const auto where = url_text(url);
    const auto id = where + ' ' + std::string(key);
    if (const auto found = fetched.find(id); found != fetched.end()) return found->second;
    call.path = url.path;
    const auto answer = fetch_(url, call);
    Result<Bytes> octets = Bytes();
    if (!answer) {
        octets = answer.error();
    } else if (answer->status != 200) {
        const auto to = answer->field("location");
        octets = Error::environment(where + ": answers " + std::to_string(answer->status) +
                                    (to ? ", and elsewhere isn't asked (" + one_line(*to, 200) + ")" : ""));
    } else {
        octets = answer->body;
    }
    fetched.emplace(id, octets);
    return octets;
}

std::vector<RevocationWatch::Seen> RevocationWatch::snapshot() const {
    const auto now = clock_.read().wall;
    std::vector<Seen> out;
    const std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : entries_) {
        Seen seen{entry->certificate.subject_text(),
                  entry->issuer.subject_text(),
                  to_hex(entry->certificate.sha256()),
                  "unknown",
                  "",
                  {},
                  {},
                  entry->trouble};
        const RevocationAnswer* best = nullptr;
        for (const auto* answer : {&entry->by_ocsp, &entry->by_crl}) {
            if (!*answer) continue;
            const auto& one = **answer;
            if (best && (best->revoked || (!one.revoked && one.until <= best->until))) continue;
            best = &one;
            seen.source = answer == &entry->by_ocsp ? "ocsp" : "crl";
        }
        if (best) {
            seen.this_update = best->this_update;
            seen.until = best->until;
            seen.state = best->revoked ? "revoked" : now <= best->until ? "good" : "unknown";
        }
        out.push_back(std::move(seen));
    }
    return out;
}

PathRevocation judge_revocation(RevocationWatch* watch, const std::vector<pki::Certificate>& path,
                                pki::CrlFiles* files) {
    const auto lists = files ? files->current() : nullptr;
    if (watch) return watch->judge(path, lists.get());
    PathRevocation out;
    if (lists) out.revoked = pki::find_revoked(path, *lists);
    return out;
}

}  // namespace kokuin::tsa
