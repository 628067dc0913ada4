// The tokens of a month, one after the other. Pure; for one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "audit/report/facts.h"
#include "store/reader.h"

namespace kokuin::audit::report {

/// Fed with the issuances of one month in the order of their numbers.
class Tokens {
  public:
    /// `sizes`: of the checkpoints, ascending.
    Tokens(Month month, std::vector<std::int64_t> sizes);

    void add(const store::Found& found);
    /// True for the first token of its policy and TSU in its hour: a sample, to see what accuracy it states.
    [[nodiscard]] bool is_sample() const { return sample_; }
    /// To be called once.
    void finish(Report& report);

  private:
    using Counts = std::map<std::int64_t, std::uint64_t>;

    void close(std::size_t hour);

    const Month month_;
    const std::vector<std::int64_t> sizes_;
    Volume volume_;
    std::vector<std::uint32_t> minutes_;
    /// How often each bound came in the hours that may go on: no token is written ten minutes behind a later
    /// one.
    std::map<std::size_t, Counts> open_;
    std::size_t newest_ = 0;  // hour
    std::int64_t bound_max_us_ = -1;
    Bytes bound_max_serial_;
    std::set<std::tuple<std::string, std::string, std::size_t>> sampled_;  // of the hours in open_
    bool sample_ = false;
    std::size_t covered_ = 0;  // index of the checkpoint that is the first to cover the last token
    std::int64_t covered_from_us_ = 0;
    bool covering_ = false;
    std::int64_t longest_uncovered_us_ = 0;
};

}  // namespace kokuin::audit::report
