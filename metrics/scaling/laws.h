// Scaling laws and links: how a metric goes with scale, or one metric with another.
//
// - power_law: a x^-b. Parameters a, b.
// - power_law_floor: E + a x^-b. Parameters E, a, b.
// - logistic_link: b + a / (1 + exp(-k (x - L0))), x a counterpart. Parameters a, b, k, L0.
// - double_logistic_link: b plus two such terms. Parameters b, a1, k1, L1, a2, k2, L2; L1 <= L2.
// - broken_power_law: a + b x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i). Parameters a, b, c0,
//   then c_i, d_i, f_i for each of 0 to 2 breaks.
// - loss_hinge: c + s max(0, eta - x), x the pre-training loss. Parameters c, s, eta.
// - ladder: A / N^alpha + B / D^beta + E, x = (N, D), parameters and tokens. Parameters A, B,
//   alpha, beta, E.
// - log_accuracy_power_law: exp(-a x^-b). Parameters a, b.
// - pass_until: exp(-c x^-alpha). Parameters c, alpha.
// - neg_log_pass_at_k: exp(-a x^-b), x the number k of attempts. Parameters a, b.
//
// a, A, B, c (of pass_until), k, d_i and f_i are > 0, E >= 0, b of power_law_floor, alpha and beta
// of the ladder > 0; the others have any sign, b of broken_power_law too (a rising curve has a
// negative one). All but the links and the hinge need x > 0. Sources:
// - power_law, power_law_floor: Hestness et al. (2017), arXiv 1712.00409, section 3.
// - logistic_link, ladder: Bhagia et al. (2024), arXiv 2412.04403, their two steps: the link goes
//   from the ladder's loss to accuracy. There a < 0 < k, so that accuracy falls with loss from b to
//   b + a. (a, k, b) and (-a, -k, a + b) are the same curve, which is why k > 0 here.
// - broken_power_law: Caballero et al. (2023), arXiv 2210.14891, equation 1.
// - loss_hinge: Du et al. (2024), arXiv 2403.15796: constant above the loss eta, monotone below; a
//   line is our choice of monotone.
// - log_accuracy_power_law: Krajewski et al. (2025), arXiv 2512.08894: -ln accuracy = a x^-b.
// - pass_until: Hu et al. (2023), arXiv 2310.03262: ln(-ln PU) = ln c - alpha ln N.
// - neg_log_pass_at_k: Schaeffer et al. (2025), arXiv 2502.17578: -ln pass@k = a k^-b; the value
//   is pass@k itself.
#ifndef MIRAGE_METRICS_SCALING_LAWS_H_
#define MIRAGE_METRICS_SCALING_LAWS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/scaling/least_squares.h"

namespace mirage::metrics {

enum class Law : uint8_t {
  kPowerLaw,
  kPowerLawFloor,
  kLogisticLink,
  kDoubleLogisticLink,
  kBrokenPowerLaw,
  kLossHinge,
  kLadder,
  kLogAccuracyPowerLaw,
  kPassUntil,
  kNegLogPassAtK,
};
inline constexpr size_t kLaws = 10;
inline constexpr int kMaxBreaks = 2;

// Which transform of the metric a residual is the difference of, and errors are about normal on.
enum class ErrorScale : uint8_t {
  // The value itself.
  kValue,
  // ln value; values must be > 0. Scatter is a factor on the value.
  kLog,
  // ln(-ln value); values must be in (0, 1). Scatter is a factor on the NLL behind the value.
  kLogMinusLog,
  // Counts k of n: the binomial deviance. Scatter is on the logit of the share.
  kBinomial,
};

// The law's name in answers; static storage.
std::string_view LawName(Law law);
// The law of this name; absent for any other.
std::optional<Law> LawByName(std::string_view name);
// The scale on which the law's source fits it: kLog for power_law, power_law_floor, ladder and
// log_accuracy_power_law, kLogMinusLog for pass_until and neg_log_pass_at_k, else kValue.
ErrorScale DefaultErrorScale(Law law);
// Numbers to an x: 2 for the ladder (N, then D), else 1.
size_t LawDimension(Law law);
// The parameters' names, in their order: those above, c1, d1, f1, c2, d2, f2 for breaks.
// `n_breaks` in [0, 2] counts for broken_power_law only; outside it is taken for the nearer end.
std::vector<std::string> LawParameterNames(Law law, int n_breaks = 0);

// The law at x; `gradient`, where it is not empty, gets its derivatives by the parameters. NaN for
// parameters or an x outside the law's domain, or of the wrong number. At the hinge the derivative
// is that of the constant side.
double EvaluateLaw(Law law, std::span<const double> parameters, std::span<const double> x,
                   std::span<double> gradient = {});

// Coordinates to fit a law in: x's logarithms (for links x itself) are centred and, for links and
// the hinge, divided by their standard deviation, amplitudes are taken where the data are and as
// logarithms where they are positive. In these the parameters are of order 1 and little correlated,
// whatever the unit of x. Parameter i of the law depends on coordinate i, amplitudes on their
// exponent too.
class LawFrame {
 public:
  // x holds n positions, row by row. INVALID_ARGUMENT: n_breaks out of range, no x, a number that
  // is no multiple of the dimension, an x that is not finite or, where the law needs it, not > 0
  // (with its place).
  static absl::StatusOr<LawFrame> Create(Law law, int n_breaks, std::span<const double> x);

  Law law() const { return law_; }
  int n_breaks() const { return n_breaks_; }
  size_t n_parameters() const { return n_parameters_; }
  size_t dimension() const { return dimension_; }

  // The position of x; NaN where x is outside the law's domain.
  void Position(const double* x, double* u) const;

  // The law on an error scale (kBinomial: the value) at coordinates and a position; `gradient` may
  // be null. NaN where the scale's transform is not defined.
  double Evaluate(ErrorScale scale, const double* coordinates, const double* u,
                  double* gradient) const;

  // The law's own bounds, in coordinates: those above, exponents of power laws with a floor
  // at least 0.001, exponents at most 20, k between 0.001 and 200 over the standard deviation of x,
  // breaks and the hinge within the data, f between 0.02 and 5.
  std::vector<ParameterBounds> Bounds() const;

  // Where fits start: a grid of the nonlinear coordinates, with the linear ones by least squares on
  // the values. At least one. Deterministic.
  std::vector<std::vector<double>> Starts(std::span<const double> positions,
                                          std::span<const double> values) const;

  // For power_law_floor on kValue: the coordinates of the least squares, by variable projection (E
  // and a are linear for a given b: Golub, Pereyra 1973, SIAM J. Numer. Anal. 10), found over a
  // grid of b from 0.001 to 20 and a golden section around the best one, to about 0.2 %. One start
  // is enough then. Absent for other laws, and where no falling curve is better than a constant.
  std::optional<std::vector<double>> Project(std::span<const double> positions,
                                             std::span<const double> values) const;

  // The law's parameters of some coordinates. `jacobian`, where it is not empty, gets d
  // parameter[i] / d coordinate[j] at [i * p + j].
  std::vector<double> Parameters(std::span<const double> coordinates,
                                 std::span<double> jacobian = {}) const;

  // Coordinate i of a value of parameter i; absent for amplitudes whose coordinate depends on
  // another parameter (a, A and B, c of pass_until, b of broken_power_law).
  std::optional<double> Coordinate(size_t i, double parameter) const;

 private:
  friend double EvaluateLaw(Law law, std::span<const double> parameters, std::span<const double> x,
                            std::span<double> gradient);

  // Which function of its coordinate a parameter is.
  enum class Kind : uint8_t {
    kSame,       // parameter = coordinate
    kAmplitude,  // exp(coordinate + exponent * centre)
    kSigned,     // coordinate * exp(exponent * centre)
    kPerUnit,    // coordinate / width
    kPlace,      // centre + width * coordinate
    kLogPlace,   // exp(centre + coordinate)
    kLog,        // exp(coordinate)
  };
  struct Parameter {
    Kind kind = Kind::kSame;
    // Of amplitudes: which parameter is their exponent, and which number of x it is of.
    size_t exponent = 0;
    size_t axis = 0;
  };

  LawFrame(Law law, int n_breaks);
  double EvaluateValue(const double* coordinates, const double* u, double* gradient) const;

  Law law_;
  int n_breaks_;
  size_t n_parameters_ = 0;
  size_t dimension_ = 1;
  // Whether positions are logarithms of x.
  bool log_position_ = true;
  std::vector<Parameter> kinds_;
  std::array<double, 2> centre_ = {0, 0};
  double width_ = 1;
  // Of the first number's positions.
  double lowest_ = 0;
  double highest_ = 0;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_SCALING_LAWS_H_
