#include "server/engine/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace mirage::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::TaskSummary Member(const std::string& name, uint32_t n, double acc, double log_p,
                       v1::MirageRisk::Level level) {
  v1::TaskSummary task;
  task.set_task(name);
  task.set_n_samples(n);
  v1::MetricSummary* m = task.add_metrics();
  m->set_metric("acc");
  m->set_role(v1::MetricSummary::REPORTED);
  m->set_value(acc);
  m->set_stderr(0.1);
  m->set_n(n);
  m->set_chance(0.25);
  m->set_signature("acc|v1");
  m->mutable_mirage_risk()->set_level(level);
  m->mutable_mirage_risk()->add_reasons()->set_text("because");
  m = task.add_metrics();
  m->set_metric("log_p_gold");
  m->set_role(v1::MetricSummary::COUNTERPART);
  m->add_counterpart_of("acc");
  m->set_value(log_p);
  m->set_n(n);
  return task;
}

v1::RunTask Group(double acc) {
  v1::RunTask group;
  group.set_task("g");
  group.add_members("a");
  group.add_members("b");
  v1::ReportedMetric* r = group.add_reported();
  r->set_metric("acc");
  r->set_filter("none");
  r->set_value(acc);
  return group;
}

const v1::TaskSummary kA = Member("a", 30, 0.5, -1, v1::MirageRisk::LOW);
const v1::TaskSummary kB = Member("b", 10, 0.9, -3, v1::MirageRisk::HIGH);
const v1::TaskSummary* const kMembers[] = {&kA, &kB};

TEST(GroupTest, WeightedBySize) {
  const v1::TaskSummary g = SummarizeGroup(Group(0.6), "none", kMembers, {});
  ASSERT_THAT(g.metrics(), SizeIs(2));
  EXPECT_DOUBLE_EQ(g.metrics(0).value(), 0.6);
  EXPECT_NEAR(g.metrics(0).stderr(), std::hypot(0.75 * 0.1, 0.25 * 0.1), 1e-15);
  EXPECT_EQ(g.metrics(0).n(), 40u);
  EXPECT_EQ(g.metrics(0).chance(), 0.25);
  EXPECT_EQ(g.metrics(0).signature(), "acc|v1|group=mean_by_size|v1");
  EXPECT_EQ(g.metrics(1).metric(), "log_p_gold");
  EXPECT_DOUBLE_EQ(g.metrics(1).value(), -1.5);
  EXPECT_THAT(g.warnings(), IsEmpty());
  EXPECT_THAT(g.members(), testing::ElementsAre("a", "b"));
}

TEST(GroupTest, UnweightedWhenThatIsWhatTheHarnessDid) {
  const v1::TaskSummary g = SummarizeGroup(Group(0.7), "none", kMembers, {});
  EXPECT_DOUBLE_EQ(g.metrics(0).value(), 0.7);
  EXPECT_THAT(g.metrics(0).signature(), HasSubstr("mean_of_members"));
  EXPECT_DOUBLE_EQ(g.metrics(1).value(), -2) << "counterparts follow the same weighting";
  EXPECT_THAT(g.warnings(), IsEmpty());
}

TEST(GroupTest, StatedWeightingIsNotSecondGuessed) {
  v1::RunTask group = Group(0.7);
  group.set_weight_by_size(true);
  const v1::TaskSummary g = SummarizeGroup(group, "none", kMembers, {});
  EXPECT_DOUBLE_EQ(g.metrics(0).value(), 0.6);
  ASSERT_THAT(g.warnings(), SizeIs(1));
  EXPECT_THAT(g.warnings(0), HasSubstr("the harness reported 0.7"));
}

TEST(GroupTest, RiskIsTheRiskiestMembers) {
  const v1::TaskSummary g = SummarizeGroup(Group(0.6), "none", kMembers, {});
  EXPECT_EQ(g.mirage_risk().level(), v1::MirageRisk::HIGH);
  EXPECT_EQ(g.mirage_risk().reasons(0).text(), "member b: because");
}

TEST(GroupTest, WithoutMembersSamplesNothingIsInvented) {
  const v1::TaskSummary empty;
  const v1::TaskSummary* const members[] = {&empty};
  const v1::TaskSummary g = SummarizeGroup(Group(0.6), "none", members, {});
  EXPECT_FALSE(g.metrics(0).has_value());
  EXPECT_EQ(g.metrics(0).reported_value(), 0.6);
  EXPECT_EQ(g.metrics(0).mirage_risk().level(), v1::MirageRisk::UNKNOWN);
  EXPECT_TRUE(g.metrics(0).higher_is_better()) << "the registry knows acc's direction";
}

}  // namespace
}  // namespace mirage::server
