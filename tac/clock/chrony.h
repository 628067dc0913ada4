// What chronyc tells, as values. Pure: it reads text.
//
// chrony is the field's own NTP client: sources, NTS, selection of those that agree (the quorum) are its
// work; this reads its results in the form for machines (`chronyc -c`, chrony 4.3: chronyc(1), "tracking",
// "sources", "selectdata").
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace kokuin::tac::clock::chrony {

/// A line of `chronyc -c tracking`.
struct Tracking {
    /// Whether chrony has a reference at all ("Leap status" isn't "Not synchronised").
    bool synchronised = false;
    /// +1 or −1: a leap second is announced for the end of the UTC day; 0: none.
    int leap = 0;
    std::string source;    ///< name or address of the source it follows; empty if none
    unsigned stratum = 0;  ///< of this machine
    /// When the last measurement was processed, on chrony's own time scale, as written. Differs from one
    /// measurement to the next; not to be compared with a clock of ours.
    std::string measured;
    /// C − UTC as chrony estimates it for the moment it is asked: + = our clock is ahead. ("System time",
    /// which chronyc counts the other way round. Under `chronyd -x`, which never touches the clock, this is
    /// the whole offset.)
    nanoseconds offset{0};
    /// By what chrony corrected its own idea of the time with its last measurement, + = it was ahead.
    nanoseconds last_offset{0};
    double rate_ppm = 0;             ///< how fast the clock runs, as chrony believes; + = fast
    double skew_ppm = 0;             ///< how far off its idea of the clock's rate may be; ≥ 0
    nanoseconds root_delay{0};       ///< ≥ 0
    nanoseconds root_dispersion{0};  ///< ≥ 0
    nanoseconds interval{0};         ///< between the last two measurements
};

/// What `chronyc -c selectdata sources` says about all sources together.
struct Sources {
    std::size_t configured = 0;
    /// Heard of lately, and selectable, which is to say that their intervals overlap ('*', '+', 'D', 'P',
    /// 'U', 'W'); or overlapping the one that is followed, and left aside only because their interval doesn't
    /// contain that of an authenticated source whole ('T'). Whether chrony also averages over one ('+') says
    /// how narrow its interval is beside the best one's, and changes from one measurement to the next.
    std::size_t agreeing = 0;
    std::size_t falsetickers = 0;  ///< 'x': excluded, since they contradict the majority
    std::size_t unreachable = 0;   ///< '?', or silent for too long whatever chrony thinks of it
    /// How far from chrony's own idea of the time (Tracking::offset from C) the `quorum` narrowest intervals
    /// that agree reach; ≥ 0. chrony's root distance is that of the source it follows, whose word for its
    /// accuracy it takes, while the time that it tells is the mean of all it uses: a wide source pulls that
    /// out of the narrow one's interval, and a liar with a narrow interval inside the wide ones of honest
    /// sources would be believed. If fewer than `quorum` lie, one of the `quorum` narrowest is honest, and
    /// contains UTC. As of chrony's last selection, which may be before or after its correction by
    /// `last_offset`.
    nanoseconds reach{0};
    [[nodiscard]] std::string text() const;  ///< "2 of 3 sources agree, 1 is a falseticker"
};

struct Report {
    Tracking tracking;
    Sources sources;
    /// A measurement came between the answers: sources and tracking are of different moments.
    bool torn = false;
};

/// Reads the output of `chronyc -c -n -m tracking selectdata sources tracking`: a line of tracking, those of
/// the selection and of the sources, and tracking once more. Strict: other columns than those of chrony 4 are
/// an Error (environment) that says so. A source that hasn't answered for longer than `silence` doesn't count
/// as one that agrees: chrony goes on using it for many minutes. `quorum`: sources that must agree, see
/// Sources::reach.
Result<Report> parse(std::string_view text, nanoseconds silence = seconds(64), std::size_t quorum = 1);

}  // namespace kokuin::tac::clock::chrony
