#include "base/page/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/page/page.h"

namespace kokuin::page {
namespace {

constexpr double left = 62;
constexpr double right = 712;
constexpr double top = 8;
constexpr double bottom = 216;

/// A number of the plot, the same in every locale.
std::string coordinate(double value) {
    const auto tenths = std::llround(value * 10);
    return (tenths < 0 ? "-" : "") + std::to_string(std::llabs(tenths) / 10) + "." +
           std::to_string(std::llabs(tenths) % 10);
}

/// Of microseconds.
double linear_then_logarithmic(double us) {
    return us <= 1000 ? us / 1000 : 1 + std::log10(us / 1000);
}

/// Between levels of a count: 1, 2 or 5 times a power of ten, five levels at most.
std::int64_t step(double most) {
    for (double power = 1;; power *= 10)
        for (const double times : {1.0, 2.0, 5.0})
            if (power * times * 5 >= most) return static_cast<std::int64_t>(power * times);
}

}  // namespace

Plot::Plot(Month month, Scale scale, std::int64_t largest) : month_(month), scale_(scale) {
    const double least = scale == Scale::count ? 1 : 1000;
    most_ = scaled(std::max(static_cast<double>(largest), least) * (scale == Scale::count ? 1.05 : 1.3));
}

double Plot::scaled(double magnitude) const {
    return scale_ == Scale::count ? magnitude : linear_then_logarithmic(magnitude);
}

double Plot::y(std::int64_t value) const {
    const auto given = static_cast<double>(value);
    const double part = std::copysign(scaled(std::abs(given)), given) / most_;
    return scale_ == Scale::offset ? (top + bottom) / 2 - part * (bottom - top) / 2
                                   : bottom - std::max(part, 0.0) * (bottom - top);
}

double Plot::x(WallTime at) const {
    const auto begin = month_.start();
    const auto whole = static_cast<double>((month_.end() - begin).count());
    const double part = static_cast<double>((std::max(at, begin) - begin).count()) / whole;
    return left + std::min(part, 1.0) * (right - left);
}

std::string Plot::level(std::int64_t value, const std::string& how) const {
    return "<path d=\"M" + coordinate(left) + " " + coordinate(y(value)) + "H" + coordinate(right) + "\" " +
           how + "/>\n";
}

std::string Plot::days() const {
    std::string out = "<g font-size=\"9\" text-anchor=\"middle\" fill=\"#444\">\n";
    int number = 1;
    for (auto at = month_.start(); at < month_.end(); at += std::chrono::hours(24)) {
        if (number == 1 || number % 5 == 0)
            out += "<path d=\"M" + coordinate(x(at)) + " " + coordinate(top) + "V" + coordinate(bottom) +
                   "\" stroke=\"#eee\"/>\n<text x=\"" + coordinate(x(at)) + "\" y=\"" +
                   coordinate(bottom + 14) + "\">" + std::to_string(number) + "</text>\n";
        ++number;
    }
    return out + "</g>\n";
}

std::string Plot::levels() const {
    std::string out = "<g font-size=\"9\" text-anchor=\"end\" fill=\"#444\">\n";
    const auto one = [&](std::int64_t value, const std::string& label) {
        out += level(value, value == 0 ? "stroke=\"#666\"" : "stroke=\"#ddd\"");
        out += "<text x=\"" + coordinate(left - 4) + "\" y=\"" + coordinate(y(value) + 3) + "\">" + label +
               "</text>\n";
    };
    if (scale_ == Scale::count) {
        const auto each = step(most_);
        for (std::int64_t value = 0; static_cast<double>(value) <= most_; value += each)
            one(value, std::to_string(value));
        return out + "</g>\n";
    }
    for (const std::int64_t us : {-1000000, -100000, -10000, -1000, 0, 1000, 10000, 100000, 1000000}) {
        if (scaled(std::abs(static_cast<double>(us))) > most_ || (us < 0 && scale_ != Scale::offset))
            continue;
        const auto sign = scale_ != Scale::offset || us == 0 ? "" : us > 0 ? "+" : "−";
        one(us, sign + std::to_string(std::llabs(us) / 1000) + " ms");
    }
    return out + "</g>\n";
}

void Plot::band(WallTime from, WallTime to) {
    const double begin = x(from);
    const double width = std::max(0.5, x(to) - begin);
    bands_ += "<rect x=\"" + coordinate(begin) + "\" y=\"" + coordinate(top) + "\" width=\"" +
              coordinate(width) + "\" height=\"" + coordinate(bottom - top) + "\" fill=\"#e4e4e4\"/>\n";
}

void Plot::limit(std::int64_t value) {
    marks_ += level(value, "stroke=\"#b33\" stroke-dasharray=\"6 4\"");
    if (scale_ == Scale::offset) marks_ += level(-value, "stroke=\"#b33\" stroke-dasharray=\"6 4\"");
}

void Plot::points(const Points& points, std::string_view colour, std::string_view width) {
    std::string path;
    for (const auto& [at, value] : points)
        path += "M" + coordinate(x(at)) + " " + coordinate(y(value)) + "h0";
    if (path.empty()) return;
    marks_ += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + std::string(colour) +
              "\" stroke-width=\"" + std::string(width) + "\" stroke-linecap=\"round\"/>\n";
}

void Plot::bars(const Points& points, nanoseconds lasting, std::string_view colour) {
    std::string path;
    for (const auto& [at, value] : points) {
        if (value <= 0) continue;
        const double begin = x(at);
        path += "M" + coordinate(begin) + " " + coordinate(bottom) + "V" + coordinate(y(value)) + "H" +
                coordinate(std::max(x(at + lasting), begin + 0.5)) + "V" + coordinate(bottom) + "Z";
    }
    if (path.empty()) return;
    marks_ += "<path d=\"" + path + "\" fill=\"" + std::string(colour) + "\"/>\n";
}

std::string Plot::draw(std::string_view title) const {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 240\" role=\"img\">\n<title>" +
           escaped(title) + "</title>\n" + bands_ + days() + levels() + marks_ + "</svg>\n";
}

}  // namespace kokuin::page
