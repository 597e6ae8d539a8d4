#include "../test.h"

#include "telemetry/telemetry.h"

static enum metrics_format chosen(const char *accept)
{
    return metrics_format_accepted(slice_from_text(accept));
}

static void prometheus_gets_openmetrics(void **state)
{
    (void)state;
    assert_int_equal(chosen("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                            "application/openmetrics-text;version=0.0.1;q=0.5,"
                            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"),
                     METRICS_OPENMETRICS);
    assert_int_equal(chosen("application/openmetrics-text;version=1.0.0,"
                            "application/openmetrics-text;version=0.0.1;q=0.75,"
                            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                     METRICS_OPENMETRICS);
}

static void who_does_not_name_openmetrics_gets_text(void **state)
{
    (void)state;
    assert_int_equal(chosen(""), METRICS_TEXT);
    assert_int_equal(chosen("*/*"), METRICS_TEXT);
    assert_int_equal(chosen("text/html, application/xhtml+xml, */*;q=0.8"), METRICS_TEXT);
    assert_int_equal(chosen("text/plain; version=0.0.4"), METRICS_TEXT);
    assert_int_equal(chosen("application/*"), METRICS_TEXT);
    assert_int_equal(metrics_format_accepted(slice_of(NULL, 0)), METRICS_TEXT);
}

static void the_greater_weight_decides(void **state)
{
    (void)state;
    assert_int_equal(chosen("application/openmetrics-text;q=0.5, text/plain;q=0.6"), METRICS_TEXT);
    assert_int_equal(chosen("text/plain;q=0.499, application/openmetrics-text;q=0.5"),
                     METRICS_OPENMETRICS);
    assert_int_equal(chosen("text/plain;q=0.5,application/openmetrics-text;q=0.5"),
                     METRICS_OPENMETRICS);
    assert_int_equal(chosen("application/openmetrics-text;q=0"), METRICS_TEXT);
    assert_int_equal(chosen("application/openmetrics-text;q=0.000"), METRICS_TEXT);
}

static void another_version_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(chosen("application/openmetrics-text;version=0.0.1"), METRICS_TEXT);
    assert_int_equal(chosen("application/openmetrics-text;version=2.0.0"), METRICS_TEXT);
    assert_int_equal(chosen("application/openmetrics-text; Version=\"1.0.0\" ; charset=utf-8"),
                     METRICS_OPENMETRICS);
    assert_int_equal(chosen("Application/OpenMetrics-Text"), METRICS_OPENMETRICS);
}

static void nonsense_is_text(void **state)
{
    (void)state;
    const char *const nonsense[] = {",,,;;;",
                                    "application/openmetrics-text;q=",
                                    "application/openmetrics-text;q=2",
                                    "application/openmetrics-text;q=1.5",
                                    "application/openmetrics-text;q=-1",
                                    "application/openmetrics-text;q=0.1234",
                                    "application/openmetrics-textual",
                                    ";q=1",
                                    "=",
                                    "q=1;="};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        assert_int_equal(chosen(nonsense[i]), METRICS_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prometheus_gets_openmetrics),
        cmocka_unit_test(who_does_not_name_openmetrics_gets_text),
        cmocka_unit_test(the_greater_weight_decides),
        cmocka_unit_test(another_version_is_not_ours),
        cmocka_unit_test(nonsense_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
