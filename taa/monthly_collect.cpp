#include "taa/monthly_report.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "pki/certificate.h"
#include "store/log_keys.h"
#include "taa/admission.h"
#include "taa/report.h"

namespace kokuin::taa {
namespace {

constexpr nanoseconds one_day = std::chrono::hours(24);
/// Verdicts may be this much later than the end of the month.
constexpr nanoseconds verdict_window = month_settles * 2;

constexpr Outcome all_outcomes[] = {Outcome::good,
                                    Outcome::stop,
                                    Outcome::unreachable,
                                    Outcome::bad_answer,
                                    Outcome::other_certificate,
                                    Outcome::delay_too_large,
                                    Outcome::not_signed,
                                    Outcome::not_recorded,
                                    Outcome::own_clock,
                                    Outcome::not_admitted};

// Of a newer or an older taad a field may be missing: the report then lacks it, and no more.
std::string field_line(const store::Event& event, const std::string& key) {
    return one_line(event.value<std::string>(key), any_length);
}

std::int64_t limit(const store::Event& event, const std::string& key) {
    return std::max<std::int64_t>(0, event.value<std::int64_t>(key));
}

std::int64_t towards_zero_us(std::int64_t ns) {
    return ns / 1000;
}

std::int64_t upwards_us(std::int64_t ns) {
    return std::chrono::ceil<microseconds>(nanoseconds(ns)).count();
}

template <typename T>
void add_once(std::vector<T>& list, const T& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

/// What is known of one TSU of one TSA while the events pass by, in the order of their numbers.
class TsuTrack {
  public:
    explicit TsuTrack(std::string name) {
        report_.name = std::move(name);
        for (const auto outcome : all_outcomes) report_.outcomes[std::string(taa::name(outcome))] = 0;
    }

    void audit(const store::Found& found, WallTime at, bool in_month) {
        const auto& event = found.event();
        const auto outcome = field_line(event, "outcome");
        known_ = true;
        // What ran when it was suspended may end later; it begins no time in which audits are missed.
        if (!served_) {
            if (in_month) {
                tried_ = true;
                ++report_.outcomes[field_line(event, "outcome")];
            }
            return;
        }
        if (!since_) since_ = at;
        const bool stop = outcome == name(Outcome::stop);
        const auto* offset = event.find<std::int64_t>("offset_ns");
        const auto* delay = event.find<std::int64_t>("delay_ns");
        if (in_month) {
            tried_ = true;
            ++report_.outcomes[outcome];
            add_once(report_.limits, {field_line(event, "policy"), limit(event, "max_offset_us"),
                                      limit(event, "max_delay_us")});
            if (event.blobs.size() > 1) add_once(holders_, event.blobs[1]);
            if (event.blobs.size() > 2) add_once(issuers_, event.blobs[2]);
        }
        if ((!stop && outcome != name(Outcome::good)) || !offset || !delay) {
            ++failures_;
            if (in_month) failed(at, outcome, event.text);
            return;
        }

        Waiting waiting{at, stop, promise_of(event, at), std::nullopt, field_line(event, "tac_serial")};
        if (in_month) {
            waiting.row = report_.audits.size();
            report_.audits.push_back({found.record.number, at, stop, field_line(event, "cause"),
                                      towards_zero_us(*offset), upwards_us(*delay), waiting.tac, "none", ""});
            run_open_ = false;
        }
        if (stop && !stopped_) stopped_ = at;
        waiting_.insert_or_assign(found.record.number, std::move(waiting));
    }

    /// False if the audit is none of this TSU's.
    bool verdict(store::RecordNumber audit, const store::Event& event) {
        const auto at = waiting_.find(audit);
        if (at == waiting_.end()) return false;
        const Waiting waiting = std::move(at->second);
        waiting_.erase(at);
        const auto verdict = field_line(event, "verdict");
        if (waiting.row) {
            report_.audits[*waiting.row].verdict = verdict;
            report_.audits[*waiting.row].reason = field_line(event, "reason");
        }
        if (verdict != "accepted" && verdict != "stop-accepted") return true;
        end_span(waiting.at, waiting.row.has_value());
        since_ = waiting.at;
        promised_ = waiting.promised;
        failures_ = 0;
        if (!waiting.stop && stopped_) {
            if (waiting.row) report_.resumptions.push_back({waiting.at, *stopped_, audit, waiting.tac});
            stopped_.reset();
        }
        return true;
    }

    MonthlyTsu finish(WallTime until) {
        if (since_ && until - *since_ > promised_)
            report_.outages.push_back({*since_, std::nullopt, promised(), failures_});
        std::vector<std::int64_t> offsets;
        std::vector<std::int64_t> delays;
        for (const auto& audit : report_.audits) {
            offsets.push_back(audit.offset_us);
            delays.push_back(audit.delay_us);
        }
        report_.offset_us = spread(std::move(offsets));
        report_.delay_us = spread(std::move(delays));
        return std::move(report_);
    }

    /// The TAA's operators keep it from being audited: what is missing from here on is no outage.
    void no_longer_served(WallTime at, bool in_month, bool removed) {
        end_span(at, in_month);
        since_.reset();
        served_ = false;
        removed_ = removed;
        known_ = true;
    }
    void served_from(WallTime at) {
        removed_ = false;
        served_ = true;
        known_ = true;
        if (!since_) since_ = at;
        promised_ = one_day;
        failures_ = 0;
    }
    void stepped() { stepped_ = true; }

    /// An audit was tried in the month, or a step taken.
    [[nodiscard]] bool concerned() const { return tried_ || stepped_; }
    [[nodiscard]] bool removed() const { return removed_; }
    [[nodiscard]] bool tried() const { return tried_; }
    [[nodiscard]] bool known() const { return known_; }
    [[nodiscard]] const std::vector<store::BlobId>& holders() const { return holders_; }
    [[nodiscard]] const std::vector<store::BlobId>& issuers() const { return issuers_; }

  private:
    struct Waiting {
        WallTime at{};
        bool stop = false;
        nanoseconds promised{};
        std::optional<std::size_t> row;  // of an audit in the month
        std::string tac;
    };

    static nanoseconds promise_of(const store::Event& event, WallTime at) {
        const auto end = from_rfc3339(field_line(event, "tac_not_after"));
        // An order to stop has no life; the next audit is promised all the same.
        return end && *end > at + seconds(1) ? std::min<nanoseconds>(*end - at, one_day) : one_day;
    }

    [[nodiscard]] seconds promised() const { return std::chrono::duration_cast<seconds>(promised_); }

    void end_span(WallTime at, bool in_month) {
        if (in_month && since_ && at - *since_ > promised_)
            report_.outages.push_back({*since_, at, promised(), failures_});
    }

    void failed(WallTime at, const std::string& outcome, const std::string& text) {
        if (!run_open_ || report_.failures.back().outcome != outcome) {
            report_.failures.push_back({at, at, 0, outcome, ""});
            run_open_ = true;
        }
        auto& run = report_.failures.back();
        run.to = at;
        run.text = one_line(text, any_length);
        ++run.count;
    }

    MonthlyTsu report_;
    bool tried_ = false;
    bool stepped_ = false;
    bool served_ = true;  // archives of before admission have no steps
    bool removed_ = false;
    bool known_ = false;
    bool run_open_ = false;                           // a failure now continues the last run
    std::map<store::RecordNumber, Waiting> waiting_;  // audits whose verdict isn't known yet
    std::optional<WallTime> since_;                   // the last audit that reached the TSU, or the first try
    nanoseconds promised_ = one_day;
    std::size_t failures_ = 0;         // since then
    std::optional<WallTime> stopped_;  // the first order to stop that nothing has lifted yet
    std::vector<store::BlobId> holders_;
    std::vector<store::BlobId> issuers_;
};

/// What operators did about TSUs, one line each, by name.
using Steps = std::map<std::string, std::vector<std::string>>;

/// Reads the events of an archive, from its beginning: what a month begins with was said before it.
class Collector {
  public:
    Collector(const std::vector<ConfiguredTsu>& configured, Month month, WallTime until)
        : month_(month), until_(until) {
        for (const auto& tsu : configured) tsa_of_[tsu.name] = tsu.tsa;
    }

    void take(const store::Found& found) {
        const auto& event = found.event();
        const WallTime at = from_unix_us(found.record.at_us);
        if (event.kind == "audit.verdict") {
            const auto* audit = event.find<std::int64_t>("audit");
            if (audit)
                for (auto& [key, track] : tracks_)
                    if (key.second == event.subject && track.verdict(*audit, event)) {
                        // After the end it may be late, and still belongs to the month.
                        if (at >= until_) last_record_ = found.record.number;
                        break;
                    }
        }
        if (at >= until_) return;
        anything_ = true;
        const bool in_month = at >= month_.start();
        if (in_month) last_record_ = found.record.number;
        if (event.kind == "audit")
            track(tsa(event), event.subject).audit(found, at, in_month);
        else if (is_step(event.kind))
            step(event, at, in_month);
        else if (event.kind == "taa.started")
            started(at);
        else if (event.kind == "taa.stopped")
            down_since_ = at;
        else if (event.kind == "reference.compared" && in_month)
            compared(event);
        else if (event.kind == "clock.unproved")
            unproved(at, event);
        else if (event.kind == "clock.proved")
            proved(at);
        last_sign_ = at;
    }

    /// To be called once.
    void finish() {
        if (down_since_) downtimes_.push_back({*down_since_, std::nullopt, true});
        if (unproved_) clock_.unproved.push_back(std::move(*unproved_));
    }

    TsuTrack& track(const std::string& tsa, const std::string& tsu) {
        return tracks_.try_emplace({tsa, tsu}, tsu).first->second;
    }
    [[nodiscard]] bool anything() const { return anything_; }
    [[nodiscard]] store::RecordNumber last_record() const { return last_record_; }
    /// By TSA and TSU.
    std::map<std::pair<std::string, std::string>, TsuTrack>& tracks() { return tracks_; }
    [[nodiscard]] const std::vector<Downtime>& downtimes() const { return downtimes_; }
    [[nodiscard]] const ClockRecord& clock() const { return clock_; }
    /// What operators did about whom in the month, by TSU: "suspended 2026-11-26T12:00:00Z (why)".
    [[nodiscard]] const Steps& steps() const { return steps_; }

  private:
    std::string tsa(const store::Event& event) const {
        auto said = field_line(event, "tsa");
        if (!said.empty()) return said;
        const auto at = tsa_of_.find(event.subject);
        return at == tsa_of_.end() ? TsuSettings().tsa : at->second;
    }

    void step(const store::Event& event, WallTime at, bool in_month) {
        auto& of = track(tsa(event), event.subject);
        const bool suspended = event.kind == "tsu.suspended";
        if (suspended || event.kind == "tsu.removed") of.no_longer_served(at, in_month, !suspended);
        if (event.kind == "tsu.admitted" || event.kind == "tsu.resumed") of.served_from(at);
        auto& lines = steps_[event.subject];
        // Of before the month counts what still holds in it.
        if (in_month)
            of.stepped();
        else if (event.kind != "tsu.reviewed")
            lines.clear();
        if (in_month || suspended)
            lines.push_back(event.kind.substr(event.kind.find('.') + 1) + " " + to_rfc3339(at, 0) + " (" +
                            one_line(event.text, any_length) + ")");
    }

    void started(WallTime at) {
        const bool recorded = down_since_.has_value();
        const auto from = recorded ? down_since_ : running_ ? last_sign_ : std::nullopt;
        if (from && at >= month_.start()) downtimes_.push_back({*from, at, recorded});
        down_since_.reset();
        running_ = true;
    }

    void compared(const store::Event& event) {
        ++clock_.comparisons;
        clock_.measurements += event.value<std::int64_t>("measurements");
        const auto* least = event.find<std::int64_t>("offset_min_us");
        const auto* most = event.find<std::int64_t>("offset_max_us");
        if (least) clock_.offset_min_us = std::min(*least, clock_.offset_min_us.value_or(*least));
        if (most) clock_.offset_max_us = std::max(*most, clock_.offset_max_us.value_or(*most));
        if (const auto* last = event.find<std::int64_t>("offset_last_us")) clock_.offset_last_us = *last;
        if (const auto* last = event.find<std::int64_t>("uncertainty_last_us"))
            clock_.uncertainty_last_us = *last;
    }

    void unproved(WallTime at, const store::Event& event) {
        if (!unproved_) unproved_ = Unproved{at, std::nullopt, ""};
        unproved_->text = one_line(event.text, any_length);
    }

    void proved(WallTime at) {
        if (unproved_ && at >= month_.start()) {
            unproved_->to = at;
            clock_.unproved.push_back(std::move(*unproved_));
        }
        unproved_.reset();
    }

    const Month month_;
    const WallTime until_;
    std::map<std::string, std::string> tsa_of_;
    std::map<std::pair<std::string, std::string>, TsuTrack> tracks_;
    bool anything_ = false;
    store::RecordNumber last_record_ = -1;
    bool running_ = false;
    std::optional<WallTime> last_sign_;
    std::optional<WallTime> down_since_;
    std::vector<Downtime> downtimes_;
    std::optional<Unproved> unproved_;
    ClockRecord clock_;
    Steps steps_;
};

SeenCertificate seen(const pki::Certificate& certificate) {
    return {one_line(certificate.subject_text(), any_length), to_hex(certificate.sha256()),
            certificate.not_after()};
}

/// Nothing where the blob is no certificate.
Result<std::optional<SeenCertificate>> read_certificate(store::ArchiveReader& archive,
                                                        const store::BlobId& id) {
    const auto der = archive.blob(id);
    if (!der) return der.error();
    const auto certificate = pki::Certificate::from_der(*der);
    return certificate ? std::optional(seen(*certificate)) : std::nullopt;
}

Result<std::vector<SeenCertificate>> read_certificates(store::ArchiveReader& archive,
                                                       const std::vector<store::BlobId>& ids) {
    std::vector<SeenCertificate> out;
    for (const auto& id : ids) {
        auto one = read_certificate(archive, id);
        if (!one) return one.error();
        if (*one) out.push_back(std::move(**one));
    }
    return out;
}

/// True if this TSU was audited, but never before `time`.
Result<bool> came_later(store::ArchiveReader& archive, const std::string& tsu, WallTime time) {
    bool later = false;
    store::EventQuery query;
    query.kind = "audit";
    query.subject = tsu;
    query.from = time;
    if (auto done = archive.events(query,
                                   [&](const store::Found&) {
                                       later = true;
                                       return false;
                                   });
        !done)
        return done.error();
    return later;
}

/// The TSUs of the configuration have a place in the report even if nobody could audit them; those that came
/// after the month have none.
Done admit(Collector& collector, store::ArchiveReader& archive, const std::vector<ConfiguredTsu>& configured,
           Month month) {
    for (const auto& tsu : configured) {
        if (collector.track(tsu.tsa, tsu.name).known()) continue;
        const auto later = came_later(archive, tsu.name, month.end());
        if (!later) return later.error();
        if (*later) collector.tracks().erase({tsu.tsa, tsu.name});
    }
    return {};
}

const ConfiguredTsu* find(const std::vector<ConfiguredTsu>& configured, const std::string& tsa,
                          const std::string& name) {
    const auto at = std::find_if(configured.begin(), configured.end(), [&](const ConfiguredTsu& one) {
        return one.name == name && one.tsa == tsa;
    });
    return at == configured.end() ? nullptr : &*at;
}

/// `today`: the same TSU in the configuration, if it is still there.
Result<MonthlyTsu> finish(TsuTrack& track, store::ArchiveReader& archive, const ConfiguredTsu* today,
                          WallTime until) {
    auto certificates = read_certificates(archive, track.holders());
    if (!certificates) return std::move(certificates).error();
    if (certificates->empty() && today && today->certificate)
        certificates->push_back(seen(*today->certificate));
    auto made = track.finish(until);
    made.certificates = std::move(*certificates);
    return made;
}

void add_remarks(MonthlyReport& report, const Steps& steps) {
    using Code = Remark::Code;
    const auto add = [&](Code code, const std::string& tsu = "", std::string detail = "") {
        report.remarks.push_back({code, tsu, std::move(detail)});
    };
    if (report.interim) add(Code::interim);
    if (!report.clock.recorded()) add(Code::no_reference);
    if (report.taa.size() > 1) add(Code::taa_certificate_changed);
    if (std::any_of(report.downtimes.begin(), report.downtimes.end(),
                    [](const Downtime& downtime) { return !downtime.recorded; }))
        add(Code::unrecorded_stop);
    for (const auto& tsu : report.tsus) {
        if (tsu.attempts() == 0) add(Code::no_audit, tsu.name);
        if (tsu.certificates.empty()) add(Code::no_certificate, tsu.name);
        if (tsu.certificates.size() > 1) add(Code::certificate_changed, tsu.name);
        if (tsu.limits.size() > 1) add(Code::limits_changed, tsu.name);
        const auto undelivered =
            std::count_if(tsu.audits.begin(), tsu.audits.end(), [](const MonthlyAudit& audit) {
                return audit.verdict != "accepted" && audit.verdict != "stop-accepted";
            });
        if (undelivered > 0) add(Code::undelivered, tsu.name, std::to_string(undelivered));
        if (const auto taken = steps.find(tsu.name); taken != steps.end())
            for (const auto& step : taken->second) add(Code::admission, tsu.name, step);
    }
}

}  // namespace

std::vector<ConfiguredTsu> configured_tsus(const Settings& settings) {
    std::vector<ConfiguredTsu> out;
    for (const auto& tsu : settings.tsus) {
        auto certificates = pki::load_certificates(tsu.certificate);
        out.push_back(
            {tsu.name, tsu.tsa, certificates ? std::optional(certificates->front()) : std::nullopt});
    }
    return out;
}

Result<std::vector<MonthlyReport>> collect(store::ArchiveReader& archive,
                                           const std::vector<ConfiguredTsu>& configured, Month month,
                                           WallTime now) {
    if (now < month.start()) return Error::no(month.text() + " hasn't begun: there is nothing to report yet");
    const bool interim = now < month.end() + month_settles;
    const WallTime until = std::min(now, month.end());

    Collector collector(configured, month, until);
    store::EventQuery query;
    query.to = month.end() + verdict_window;
    if (auto done = archive.events(query,
                                   [&](const store::Found& found) {
                                       collector.take(found);
                                       return true;
                                   });
        !done)
        return done.error();
    collector.finish();
    if (!collector.anything())
        return Error::no("the archive holds nothing of " + month.text() + " or before");

    if (auto done = admit(collector, archive, configured, month); !done) return std::move(done).error();

    const auto signed_head = archive.latest_checkpoint();
    if (!signed_head) return signed_head.error();
    const auto keys = store::recorded_keys(archive);
    if (!keys) return keys.error();

    std::map<std::string, MonthlyReport> reports;
    std::map<std::string, std::vector<store::BlobId>> issuers;  // by TSA, as the reports
    for (auto& [key, track] : collector.tracks()) {
        const auto* today = find(configured, key.first, key.second);
        if (!track.concerned() && !(today && !track.removed())) continue;
        auto made = finish(track, archive, today, until);
        if (!made) return std::move(made).error();
        reports.try_emplace(key.first, month).first->second.tsus.push_back(std::move(*made));
        for (const auto& id : track.issuers()) add_once(issuers[key.first], id);
    }
    if (reports.empty()) return Error::no("no TSU was audited in " + month.text());

    std::vector<MonthlyReport> out;
    for (auto& [tsa, report] : reports) {
        report.tsa = tsa;
        report.made = now;
        report.interim = interim;
        report.until = until;
        report.last_record = collector.last_record();
        report.downtimes = collector.downtimes();
        report.clock = collector.clock();
        if (*signed_head) report.checkpoint = (*signed_head)->note;
        for (const auto& key : *keys) report.log_keys.push_back(key.text());
        auto taa = read_certificates(archive, issuers[tsa]);
        if (!taa) return taa.error();
        report.taa = std::move(*taa);
        add_remarks(report, collector.steps());
        out.push_back(std::move(report));
    }
    return out;
}

}  // namespace kokuin::taa
