#include "store/expiry.h"

#include <algorithm>

#include "store/retention.h"

namespace kokuin::store {
namespace {

/// Sorts every record of an archive in.
class Calendar {
  public:
    Calendar(ArchiveReader& reader, WallTime at, const CertificateEnd& certificate_end, ExpiryExtent extent)
        : reader_(reader), at_(at), certificate_end_(certificate_end), extent_(extent) {}

    Result<std::vector<ExpiringSegment>> sort() {
        auto segments = reader_.segments();
        if (!segments) return std::move(segments).error();
        for (auto& segment : *segments) {
            found_.emplace_back();
            found_.back().segment = std::move(segment);
        }
        // Events may have to stay as long as tokens do.
        Query query;
        // The tokens of a segment are of one month, so that either all or none of them are read. A token that
        // comes later keeps nothing of an older month.
        if (extent_ == ExpiryExtent::what_may_have_passed)
            query.to = years_later(at_, -retention_of(token_kind).years) + std::chrono::hours(24 * 40);
        if (auto done = reader_.find(query, [this](const Found& found) { return add_token(found); }); !done)
            return std::move(done).error();
        if (failed_) return *failed_;
        if (auto done = reader_.events({}, [this](const Found& found) { return add_event(found); }); !done)
            return std::move(done).error();
        for (const auto& [about, newest] : in_force_) count(newest, about.first, std::nullopt);
        for (ExpiringSegment& segment : found_)
            for (auto& [kind, one] : segment.kinds) {
                one.runs = joined(std::move(one.runs));
                if (one.past == 0) continue;
                one.first_past = one.runs.front().first;
                one.last_past = one.runs.back().last;
            }
        return std::move(found_);
    }

  private:
    struct Place {
        std::string segment;
        RecordNumber number = 0;
        WallTime ends{};
    };

    ExpiringSegment& segment_of(const Place& place) {
        // Most records stand in the same one as the record before.
        if (last_ < found_.size() && found_[last_].segment == place.segment) return found_[last_];
        for (last_ = 0; last_ < found_.size(); ++last_)
            if (found_[last_].segment == place.segment) return found_[last_];
        found_.emplace_back().segment = place.segment;  // begun meanwhile
        return found_.back();
    }

    /// `ends`: nothing, it has no end.
    void count(const Place& place, const std::string& kind, std::optional<WallTime> ends) {
        auto& one = segment_of(place).kinds[kind];
        ++one.records;
        if (!ends) {
            ++one.stay;
            return;
        }
        one.ends = std::max(one.ends.value_or(*ends), *ends);
        if (*ends > at_) return;
        ++one.past;
        add_to(one.runs, place.number);
    }

    bool add_token(const Found& found) {
        const auto& issuance = found.issuance();
        auto end = certificate_ends_.find(issuance.certificate);
        if (end == certificate_ends_.end()) {
            const auto der = reader_.blob(issuance.certificate, found.segment);
            const auto ends = der ? certificate_end_(*der) : Result<WallTime>(der.error());
            if (!ends) {
                failed_ =
                    Error::environment(found.segment + ", record " + std::to_string(found.record.number) +
                                       ": the certificate of its TSU can't be read: " + ends.error().text);
                return false;
            }
            end = certificate_ends_.emplace(issuance.certificate, *ends).first;
        }
        const auto begin = std::max(from_unix_us(issuance.gen_time_us), month_begin(found.segment));
        const auto until = token_kept_until(begin, end->second);
        auto& last = last_token_[found.segment];
        last = std::max(last, until);
        count({found.segment, found.record.number, until}, token_kind, until);
        auto& times = segment_of({found.segment}).kinds[token_kind].gen_times_us;
        const auto gen_time = issuance.gen_time_us;
        if (!times) times.emplace(gen_time, gen_time);
        times->first = std::min(times->first, gen_time);
        times->second = std::max(times->second, gen_time);
        return true;
    }

    bool add_event(const Found& found) {
        const auto& event = found.event();
        const auto& rule = retention_of(event.kind);
        const auto since = std::max(from_unix_us(found.record.at_us), month_begin(found.segment));
        Place place{found.segment, found.record.number, years_later(since, rule.years)};
        switch (rule.beyond) {
            case Beyond::nothing:
                break;
            case Beyond::everything:
                count(place, event.kind, std::nullopt);
                return true;
            case Beyond::tokens:
                segment_of(place).kinds[event.kind].never_before_tokens_of.insert(found.segment);
                place.ends = std::max(place.ends, last_token(found.segment));
                break;
            case Beyond::month:
                segment_of(place).kinds[event.kind].after_tokens_of.insert(event.subject);
                place.ends = std::max(place.ends, last_token(event.subject));
                break;
            case Beyond::in_force: {
                auto [at, is_first] = in_force_.try_emplace({event.kind, event.subject}, place);
                if (!is_first) {
                    // The one before isn't in force any more.
                    count(at->second, event.kind, at->second.ends);
                    at->second = std::move(place);
                }
                return true;
            }
        }
        count(place, event.kind, place.ends);
        return true;
    }

    [[nodiscard]] WallTime last_token(const std::string& segment) const {
        const auto at = last_token_.find(segment);
        return at == last_token_.end() ? WallTime::min() : at->second;
    }

    ArchiveReader& reader_;
    const WallTime at_;
    const CertificateEnd& certificate_end_;
    const ExpiryExtent extent_;
    std::vector<ExpiringSegment> found_;
    std::size_t last_ = 0;  // in found_
    std::map<BlobId, WallTime> certificate_ends_;
    std::map<std::string, WallTime> last_token_;                     // by segment
    std::map<std::pair<std::string, std::string>, Place> in_force_;  // by kind and subject
    std::optional<Error> failed_;
};

}  // namespace

std::size_t ExpiringSegment::records() const {
    std::size_t sum = 0;
    for (const auto& [kind, one] : kinds) sum += one.records;
    return sum;
}

std::size_t ExpiringSegment::past() const {
    std::size_t sum = 0;
    for (const auto& [kind, one] : kinds) sum += one.past;
    return sum;
}

std::optional<WallTime> ExpiringSegment::ends() const {
    std::optional<WallTime> last;
    for (const auto& [kind, one] : kinds) {
        if (one.stay > 0) return std::nullopt;
        if (one.ends && (!last || *one.ends > *last)) last = one.ends;
    }
    return last;
}

Result<std::vector<ExpiringSegment>> expiring(ArchiveReader& reader, WallTime at,
                                              const CertificateEnd& certificate_end, ExpiryExtent extent) {
    return Calendar(reader, at, certificate_end, extent).sort();
}

std::vector<Removal> removable(const std::vector<ExpiringSegment>& segments, WallTime at) {
    std::vector<Removal> removals;
    for (std::size_t i = 0; i + 1 < segments.size(); ++i)
        for (const auto& [kind, one] : segments[i].kinds)
            if (one.past > 0 && one.ends && *one.ends <= at)
                removals.push_back({segments[i].segment, kind, one.runs, *one.ends, one.gen_times_us});
    return removals;
}

void keep_what_tokens_need(std::vector<Removal>& plan, const std::vector<ExpiringSegment>& segments,
                           const Removals& removals) {
    std::erase_if(plan, [&removals](const Removal& one) { return removals.name_any(one.runs); });
    const auto planned = [&plan](const std::string& month) {
        return std::any_of(plan.begin(), plan.end(),
                           [&](const Removal& one) { return one.segment == month && one.gen_times_us; });
    };
    const auto gone = [&](const std::string& month) { return removals.tokens_of(month) || planned(month); };
    const auto stand = [&](const std::string& month) {
        return std::any_of(segments.begin(), segments.end(), [&](const ExpiringSegment& one) {
            const auto tokens = one.kinds.find(token_kind);
            return one.segment == month && tokens != one.kinds.end() && tokens->second.records > 0;
        });
    };
    std::set<std::pair<std::string, std::string>> kept;
    for (const ExpiringSegment& segment : segments)
        for (const auto& [kind, one] : segment.kinds) {
            const auto& after = one.after_tokens_of;
            const auto& before = one.never_before_tokens_of;
            if (!std::all_of(after.begin(), after.end(), gone) ||
                std::any_of(before.begin(), before.end(),
                            [&](const std::string& month) { return stand(month) && !gone(month); }))
                kept.emplace(segment.segment, kind);
        }
    std::erase_if(plan, [&kept](const Removal& one) { return kept.contains({one.segment, one.kind}); });
}

}  // namespace kokuin::store
