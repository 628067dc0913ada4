#include "taa/auditor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/text.h"
#include "taa/admission.h"

namespace kokuin::taa {
namespace {

void end(Report& report, Outcome outcome, const std::string& text) {
    report.outcome = outcome;
    report.text = one_line(text, 1000);
}

}  // namespace

Auditor::Auditor(const Measuring& measuring, const Issuer& issuer, store::Archive& archive,
                 const Admissions& admissions, Clocks clocks, const OwnClock* own,
                 const tac::clock::LeapFile* leaps, std::function<std::optional<std::string>()> held_back)
    : measuring_(measuring),
      issuer_(issuer),
      archive_(archive),
      admissions_(admissions),
      clocks_(clocks),
      own_(own),
      leaps_(leaps),
      held_back_(std::move(held_back)) {}

Report Auditor::audit(const AuditedTsu& tsu, Cause cause) {
    Report report;
    report.tsu = tsu.settings.name;
    report.tsa = tsu.settings.tsa;
    report.cause = cause;
    if (const auto refusal = admissions_.refusal(report.tsu)) {
        end(report, Outcome::not_admitted, *refusal);
        return report;
    }
    try {
        run(tsu, report);
    } catch (const std::exception& fault) {
        // Out of memory and the like: nothing is delivered that isn't recorded, whatever step this was.
        if (!report.record)
            end(report, Outcome::not_signed, std::string("fault: ") + fault.what());
        else
            report.undelivered = one_line(std::string("fault: ") + fault.what());
    }
    return report;
}

void Auditor::run(const AuditedTsu& tsu, Report& report) {
    auto channel = Channel::open(tsu.client, measuring_.deadline);
    if (!channel) {
        end(report, Outcome::unreachable, channel.error().text);
        return record_failure(tsu, report);
    }
    if (const auto peer = channel->peer()) report.peer = to_hex(peer->sha256);
    if (!own_clock_is_right(*channel, tsu, report) || !measure(*channel, tsu, report) ||
        !own_clock_is_right(*channel, tsu, report))
        return record_failure(tsu, report);

    // From here until its verdict no operator's step about this TSU comes between. One whose key is
    // compromised is measured, so that it can say that it signs with another, but gets no TAC for that one.
    const auto held = admissions_.hold(tsu.settings.name);
    if (const auto refusal = admissions_.refusal(tsu.settings.name, tsu.certificate.sha256())) {
        end(report, Outcome::not_admitted, *refusal);
        return record_failure(tsu, report);
    }
    const auto held_back = held_back_();
    if (held_back && judge(report.sample->measurement, tsu.settings.rules) == Judgement::good) {
        end(report, Outcome::not_signed, *held_back);
        return record_failure(tsu, report);
    }
    auto issued = issuer_.issue(tsu.certificate, report.sample->measurement, tsu.settings.rules,
                                leaps_ahead(report.sample->measurement.at));
    if (!issued) {
        end(report, Outcome::not_signed, issued.error().text);
        return record_failure(tsu, report);
    }
    report.issued = std::move(*issued);
    if (report.issued->judgement == Judgement::good)
        end(report, Outcome::good, "");
    else
        end(report, Outcome::stop,
            "the clock is " +
                config::to_text(std::chrono::abs(
                    std::chrono::duration_cast<microseconds>(report.sample->measurement.offset))) +
                (report.sample->measurement.offset > nanoseconds(0) ? " ahead" : " behind") +
                ", the limit is " + config::to_text(tsu.settings.rules.max_offset));

    const std::vector<store::Blob> blobs{
        store::Blob(report.issued->der),
        store::Blob(Bytes(tsu.certificate.der().begin(), tsu.certificate.der().end())),
        store::Blob(Bytes(issuer_.certificate().der().begin(), issuer_.certificate().der().end()))};
    auto number = archive_.append(clocks_.wall.now(),
                                  audit_event(report, tsu.settings.rules, tsu.certificate, blobs), blobs);
    if (!number) return end(report, Outcome::not_recorded, number.error().text);
    report.record = *number;
    // Signing and recording may have taken long.
    const auto since = report.outcome == Outcome::good ? held_back_() : std::nullopt;
    if (since) return keep(report, *since);
    deliver(*channel, report);
}

bool Auditor::near_leap() const {
    if (!leaps_) return false;
    const auto list = leaps_->read(clocks_.mono.now());
    const auto now = clocks_.wall.now();
    return list && !(*list)->between(now - seconds(2), now + seconds(2)).empty();
}

std::vector<tac::clock::LeapSecond> Auditor::leaps_ahead(WallTime at) const {
    constexpr nanoseconds month = std::chrono::hours(24 * 31);
    if (!leaps_) return {};
    const auto list = leaps_->read(clocks_.mono.now());
    return list ? (*list)->between(at, at + month) : std::vector<tac::clock::LeapSecond>();
}

bool Auditor::own_clock_is_right(Channel& channel, const AuditedTsu& tsu, Report& report) {
    OwnClock::Standing standing{true, 0, ""};
    if (own_) standing = own_->look();
    // While one clock may have passed a leap second and the other hasn't, a measurement says nothing (TAA-9).
    if (near_leap()) standing = {false, 0, "within two seconds of a leap second nobody is measured"};
    if (standing.proved) {
        // Of the two looks, before and after the measurement, the worse one counts.
        if (own_) report.own_bound_us = std::max(report.own_bound_us.value_or(0), standing.bound_us);
        return true;
    }
    report.own_bound_us.reset();
    end(report, Outcome::own_clock, standing.text);
    const auto told =
        channel.notify({tsu.settings.called, tac::Notice::Kind::clock_unproved, standing.text, {}});
    if (!told) report.undelivered = one_line(told.error().text);
    return false;
}

bool Auditor::measure(Channel& channel, const AuditedTsu& tsu, Report& report) {
    const auto& rules = tsu.settings.rules;
    std::optional<NoSample> trouble;
    while (report.measurements < measuring_.measurements) {
        ++report.measurements;
        std::vector<Sample> samples;
        std::vector<tac::Measurement> values;
        for (unsigned i = 0; i < measuring_.samples; ++i) {
            if (const auto refusal = admissions_.refusal(tsu.settings.name)) {
                end(report, Outcome::not_admitted, *refusal);
                return false;
            }
            auto sample = channel.sample(tsu.settings.called, clocks_,
                                         tsu.says_which ? View(tsu.certificate.sha256()) : View());
            if (sample) {
                values.push_back(sample->measurement);
                samples.push_back(std::move(*sample));
                continue;
            }
            trouble = sample.error();
            if (trouble->kind == NoSample::Kind::disturbed) continue;
            end(report,
                trouble->kind == NoSample::Kind::unreachable ? Outcome::unreachable : Outcome::bad_answer,
                trouble->text);
            return false;
        }
        report.samples = static_cast<unsigned>(samples.size());
        const auto best = tac::best(values);
        if (!best) continue;
        report.sample = std::move(samples[*best]);
        // Refused by the TSU for certain, so it isn't signed: somebody changed the TSU's key and told us
        // nothing.
        if (!equal(report.sample->certificate_sha256, tsu.certificate.sha256())) {
            end(report, Outcome::other_certificate,
                "the TSU signs with the certificate of SHA-256 " + to_hex(report.sample->certificate_sha256) +
                    ", not with " + tsu.settings.certificate + "; get its new certificate");
            return false;
        }
        if (report.sample->measurement.delay <= rules.max_delay) return true;
        trouble.reset();
    }
    if (report.sample)
        end(report, Outcome::delay_too_large,
            "the fastest of " + std::to_string(report.samples) + " samples took " +
                config::to_text(std::chrono::ceil<microseconds>(report.sample->measurement.delay)) +
                ", the limit is " + config::to_text(rules.max_delay));
    else
        end(report, Outcome::bad_answer, trouble ? trouble->text : "no sample was usable");
    return false;
}

void Auditor::keep(Report& report, const std::string& why) {
    report.undelivered = one_line(why);
    if (auto number = archive_.append(clocks_.wall.now(), verdict_event(report)); !number)
        report.undelivered += "; " + one_line(number.error().text);
}

void Auditor::deliver(Channel& channel, Report& report) {
    tac::TacDelivery delivery;
    delivery.nonce = report.sample->nonce;
    delivery.tac = report.issued->der;
    for (const auto& certificate : issuer_.chain())
        delivery.chain.emplace_back(certificate.der().begin(), certificate.der().end());
    auto verdict = channel.deliver(delivery);
    if (verdict)
        report.verdict = std::move(*verdict);
    else
        report.undelivered = one_line(verdict.error().text);
    // Lost, this record harms nobody: the TSU keeps its own. The next audit will find the archive's state.
    auto number = archive_.append(clocks_.wall.now(), verdict_event(report));
    if (!number)
        report.undelivered += (report.undelivered.empty() ? "" : "; ") + one_line(number.error().text);
}

void Auditor::record_failure(const AuditedTsu& tsu, Report& report) {
    auto number =
        archive_.append(clocks_.wall.now(), audit_event(report, tsu.settings.rules, tsu.certificate, {}), {},
                        store::Archive::Month::stays);
    if (number)
        report.record = *number;
    else
        report.text += "; and the archive: " + one_line(number.error().text);
}

}  // namespace kokuin::taa
