#include "audit/expire.h"

#include <algorithm>
#include <limits>
#include <ostream>

#include "pki/certificate.h"
#include "store/retention.h"

namespace kokuin::audit {
namespace {

/// Sorts every record of an archive in.
class Calendar {
  public:
    Calendar(store::ArchiveReader& reader, WallTime at) : reader_(reader), at_(at) {}

    Result<std::vector<ExpiringSegment>> sort() {
        auto segments = reader_.segments();
        if (!segments) return std::move(segments).error();
        for (auto& segment : *segments) {
            found_.emplace_back();
            found_.back().segment = std::move(segment);
        }
        // Events may have to stay as long as tokens do.
        if (auto done = reader_.find({}, [this](const store::Found& found) { return add_token(found); });
            !done)
            return std::move(done).error();
        if (failed_) return *failed_;
        if (auto done = reader_.events({}, [this](const store::Found& found) { return add_event(found); });
            !done)
            return std::move(done).error();
        for (const auto& [about, newest] : in_force_) count(newest, about.first, std::nullopt);
        return std::move(found_);
    }

  private:
    struct Place {
        std::string segment;
        store::RecordNumber number = 0;
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
        one.first_past = std::min(one.first_past.value_or(place.number), place.number);
        one.last_past = std::max(one.last_past.value_or(place.number), place.number);
    }

    bool add_token(const store::Found& found) {
        const auto& issuance = found.issuance();
        auto end = certificate_ends_.find(issuance.certificate);
        if (end == certificate_ends_.end()) {
            const auto der = reader_.blob(issuance.certificate, found.segment);
            const auto certificate = der ? pki::Certificate::from_der(*der) : der.error();
            if (!certificate) {
                failed_ = Error::environment(
                    found.segment + ", record " + std::to_string(found.record.number) +
                    ": the certificate of its TSU can't be read: " + certificate.error().text);
                return false;
            }
            end = certificate_ends_.emplace(issuance.certificate, certificate->not_after()).first;
        }
        const auto until = store::token_kept_until(from_unix_us(issuance.gen_time_us), end->second);
        auto& last = last_token_[found.segment];
        last = std::max(last, until);
        count({found.segment, found.record.number, until}, "token", until);
        return true;
    }

    bool add_event(const store::Found& found) {
        const auto& event = found.event();
        const auto& rule = store::retention_of(event.kind);
        Place place{found.segment, found.record.number,
                    store::years_later(from_unix_us(found.record.at_us), rule.years)};
        switch (rule.beyond) {
            case store::Beyond::nothing:
                break;
            case store::Beyond::everything:
                count(place, event.kind, std::nullopt);
                return true;
            case store::Beyond::tokens:
                place.ends = std::max(place.ends, last_token(found.segment));
                break;
            case store::Beyond::month:
                place.ends = std::max(place.ends, last_token(event.subject));
                break;
            case store::Beyond::in_force: {
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

    store::ArchiveReader& reader_;
    const WallTime at_;
    std::vector<ExpiringSegment> found_;
    std::size_t last_ = 0;  // in found_
    std::map<store::BlobId, WallTime> certificate_ends_;
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

Result<std::vector<ExpiringSegment>> expiring(store::ArchiveReader& reader, WallTime at) {
    return Calendar(reader, at).sort();
}

}  // namespace kokuin::audit
