#include "tac/clock/basis.h"

#include <algorithm>
#include <cmath>

#include "base/der.h"

namespace kokuin::tac::clock {
namespace {

constexpr nanoseconds ns0{0};
constexpr std::int64_t version = 1;
// Inside these the arithmetic below can't overflow: C from 2001 to 2191, all else up to nine years.
constexpr nanoseconds first_wall{1'000'000'000'000'000'000};
constexpr nanoseconds last_wall{7'000'000'000'000'000'000};
constexpr nanoseconds longest_time{std::int64_t{1} << 58U};
constexpr double largest_rate = 0.01;

bool fits(nanoseconds time) {
    return time >= -longest_time && time <= longest_time;
}

/// factor·span, away from the caller's interval: rounding never narrows a bound.
nanoseconds down(double factor, nanoseconds span) {
    return nanoseconds(static_cast<std::int64_t>(std::floor(factor * static_cast<double>(span.count()))) - 1);
}
nanoseconds up(double factor, nanoseconds span) {
    return nanoseconds(static_cast<std::int64_t>(std::ceil(factor * static_cast<double>(span.count()))) + 1);
}

Bytes encode_piece(const Basis::Piece& piece) {
    const auto& evidence = piece.evidence;
    const auto& at = evidence.at;
    const auto number = [](nanoseconds value) { return der::integer(value.count()); };
    return der::sequence({der::integer(static_cast<std::int64_t>(evidence.source)), number(evidence.error),
                          number(evidence.uncertainty), number(at.before.time_since_epoch()),
                          number(at.wall.time_since_epoch()), number(at.gap()), number(at.asleep.low),
                          number(at.asleep.high), number(evidence.good_until.time_since_epoch()),
                          der::integer(std::llround(piece.rate.f * ppt)),
                          der::integer(std::llround(piece.rate.rho * ppt)),
                          piece.rate.learnt ? der::boolean_true() : Bytes{}, der::utf8(evidence.note)});
}

Basis::Piece read_piece(der::Reader& in) {
    Basis::Piece piece;
    auto& evidence = piece.evidence;
    der::Reader fields = in.enter(der::sequence_tag, "evidence");
    const auto number = [&](const char* what) {
        const nanoseconds value(fields.read_int64(what));
        if (fits(value)) return value;
        fields.fail(std::string(what) + ": out of range");
        return ns0;
    };
    const auto rate = [&](const char* what) {
        const double value = static_cast<double>(fields.read_int64(what)) / ppt;
        if (std::abs(value) > largest_rate) fields.fail(std::string(what) + ": out of range");
        return value;
    };
    const auto source = fields.read_int64("source");
    if (source != 0 && source != 1) fields.fail("an unknown source of evidence");
    evidence.source = source == 1 ? Source::reference : Source::tac;
    evidence.error = number("error");
    evidence.uncertainty = number("uncertainty");
    if (evidence.uncertainty < ns0) fields.fail("a negative uncertainty");
    evidence.at.before = MonoTime(number("M"));
    evidence.at.wall = WallTime(nanoseconds(fields.read_int64("C")));
    const auto gap = number("gap");
    if (gap < ns0) fields.fail("a negative gap");
    evidence.at.after = evidence.at.before + gap;
    evidence.at.asleep.low = number("asleep");
    evidence.at.asleep.high = number("asleep");
    evidence.good_until = MonoTime(number("good until"));
    piece.rate.f = rate("f");
    piece.rate.rho = rate("rho");
    if (piece.rate.rho < 0) fields.fail("a negative rho");
    piece.rate.learnt = fields.next_is(der::boolean);
    // DER: a default isn't written (X.690 11.5).
    if (piece.rate.learnt && !fields.read_boolean("learnt")) fields.fail("learnt: FALSE is the default");
    evidence.note = fields.read_utf8("note");
    if (!fields.failed() && !can_be_carried(evidence.at)) fields.fail("the reading is out of range");
    fields.finish("evidence");
    return piece;
}

}  // namespace

bool can_be_carried(const Reading& reading) {
    const auto wall = reading.wall.time_since_epoch();
    return wall >= first_wall && wall <= last_wall && fits(reading.before.time_since_epoch()) &&
           fits(reading.after.time_since_epoch()) && fits(reading.asleep.low) && fits(reading.asleep.high);
}

std::string_view name(Source source) {
    switch (source) {
        case Source::tac:
            return "tac";
        case Source::reference:
            return "reference";
    }
    return "unknown";
}

nanoseconds Bound::largest() const {
    return std::max(-low, high);
}

nanoseconds truncation(int digits) {
    nanoseconds unit = seconds(1);
    for (int i = 0; i < std::clamp(digits, 0, 9); ++i) unit /= 10;
    return unit;
}

bool Basis::Piece::applies(const Reading& now) const {
    return now.after <= evidence.good_until && !slept_between(evidence.at.asleep, now.asleep);
}

nanoseconds Basis::leaps_between(const Evidence& from, nanoseconds elapsed) const {
    nanoseconds sum = ns0;
    const WallTime start = from.at.wall - from.error;
    const WallTime end = start + elapsed;
    for (const auto& leap : leaps) {
        // On a scale that goes on evenly from `start`, an inserted second begins where midnight would have
        // been, and a deleted one makes midnight come a second early.
        const WallTime moment = leap.direction > 0 ? leap.midnight : leap.midnight - seconds(1);
        if (start < moment && end >= moment) sum -= seconds(leap.direction);
        if (start >= moment && end < moment) sum += seconds(leap.direction);
    }
    return sum;
}

Bound Basis::carry(const Piece& piece, const Reading& to) const {
    const auto& from = piece.evidence;
    const nanoseconds shortest = to.before - from.at.after;
    const nanoseconds longest = to.after - from.at.before;
    const nanoseconds span = std::max(std::chrono::abs(shortest), std::chrono::abs(longest));
    const nanoseconds doubt = up(piece.rate.rho, span) + longest_sleep_between(from.at.asleep, to.asleep);
    const nanoseconds leap = leaps_between(from, to.middle() - from.at.middle());
    const nanoseconds utc_least = shortest + down(piece.rate.f, shortest) + leap - doubt;
    const nanoseconds utc_most = longest + up(piece.rate.f, longest) + leap + doubt;
    const nanoseconds moved = to.wall - from.at.wall;
    Bound bound;
    bound.state = Bound::State::known;
    bound.low = from.error - from.uncertainty + moved - utc_most;
    bound.high = from.error + from.uncertainty + moved - utc_least;
    return bound;
}

Bound Basis::at(const Reading& now) const {
    Bound all;
    bool slept = false;
    for (const auto& piece : pieces) {
        if (!piece.applies(now)) {
            slept = slept || slept_between(piece.evidence.at.asleep, now.asleep);
            continue;
        }
        const Bound one = carry(piece, now);
        if (all.state == Bound::State::no_evidence) {
            all.state = Bound::State::known;
            all.low = one.low;
            all.high = one.high;
        } else {
            all.low = std::max(all.low, one.low);
            all.high = std::min(all.high, one.high);
        }
        (piece.evidence.source == Source::tac ? all.by_tac : all.by_reference) = true;
    }
    if (all.state == Bound::State::known && all.low > all.high) all.state = Bound::State::contradiction;
    if (all.state == Bound::State::no_evidence && slept) all.state = Bound::State::slept;
    return all;
}

const LeapSecond* Basis::near_leap(const Reading& now, const Bound& bound) const {
    WallTime earliest = now.wall;
    WallTime latest = now.wall;
    if (bound.state == Bound::State::known) {
        earliest = std::min(earliest, now.wall - bound.high);
        latest = std::max(latest, now.wall - bound.low);
    }
    for (const auto& leap : leaps)
        if (latest >= leap.midnight - seconds(1) && earliest <= leap.midnight + seconds(1)) return &leap;
    return nullptr;
}

const Basis::Piece* Basis::newest(Source source, const Reading& now) const {
    const auto found = std::find_if(pieces.rbegin(), pieces.rend(),
                                    [&](const Piece& piece) { return piece.evidence.source == source; });
    return found != pieces.rend() && found->applies(now) ? &*found : nullptr;
}

Bytes Basis::encode() const {
    Bytes all;
    for (const auto& piece : pieces) append(all, encode_piece(piece));
    Bytes announced;
    for (const auto& leap : leaps)
        append(announced, der::sequence({der::integer(leap.midnight.time_since_epoch() / seconds(1)),
                                         der::integer(leap.direction)}));
    return der::sequence(
        {der::integer(version), der::tlv(der::sequence_tag, all), der::tlv(der::sequence_tag, announced)});
}

Result<Basis> Basis::decode(View der_octets) {
    Basis basis;
    der::Reader outer(der_octets);
    der::Reader in = outer.enter(der::sequence_tag, "clock basis");
    const auto found = in.read_int64("version");
    if (!in.failed() && found != version)
        return Error::environment("clock basis: version " + std::to_string(found) +
                                  ", this program knows version 1: use a newer one");
    der::Reader all = in.enter(der::sequence_tag, "evidence");
    while (!all.at_end()) basis.pieces.push_back(read_piece(all));
    der::Reader announced = in.enter(der::sequence_tag, "leap seconds");
    while (!announced.at_end()) {
        der::Reader leap = announced.enter(der::sequence_tag, "leap second");
        const auto midnight = leap.read_int64("midnight");
        const auto direction = leap.read_int64("direction");
        if (direction != 1 && direction != -1) leap.fail("direction: must be 1 or -1");
        // Beyond this a WallTime would overflow.
        constexpr std::int64_t furthest = 9'000'000'000;
        if (midnight < -furthest || midnight > furthest) leap.fail("midnight: out of range");
        leap.finish("leap second");
        basis.leaps.push_back({WallTime(seconds(leap.failed() ? 0 : midnight)), direction > 0 ? 1 : -1});
    }
    in.finish("clock basis");
    outer.finish("clock basis");
    if (outer.failed()) return Error::environment("clock basis: " + outer.fault().text());
    return basis;
}

}  // namespace kokuin::tac::clock
