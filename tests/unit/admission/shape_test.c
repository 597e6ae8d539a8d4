#include "../test.h"

#include "../pseudo_random.h"
#include "admission/shape.h"

struct example {
    enum value_shape shape;
    const char *value;
};

static const struct example examples[] = {
    {SHAPE_UUID, "83340ca8-cb49-4474-8c29-d2088ca84dd9"},
    {SHAPE_UUID, "83340CA8-CB49-4474-8C29-D2088CA84DD9"},
    {SHAPE_UUID, "{83340ca8-CB49-4474-8c29-d2088ca84dd9}"},
    {SHAPE_UUID, "urn:uuid:83340ca8-cb49-4474-8c29-d2088ca84dd9"},
    {SHAPE_UUID, "12345678-1234-1234-1234-123456789012"},
    {SHAPE_BASE62_ID, "83340ca8-cb49-4474-8c29-d2088ca84ddg"},
    {SHAPE_NONE, "83340ca8-cb49-4474-8c29-d2088ca84dd.9"},
    {SHAPE_NONE, "{83340ca8-cb49-4474-8c29-d2088ca84dd9"},

    {SHAPE_HEX_ID, "4bf92f3577b34da6a3ce929d0e0e4736"},
    {SHAPE_HEX_ID, "00f067aa0ba902b7"},
    {SHAPE_HEX_ID, "00F067AA0BA902B7"},
    {SHAPE_HEX_ID, "0x7c72382b8de36a64"},
    {SHAPE_HEX_ID, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {SHAPE_NONE, "00f067aa0ba902b"}, /* 15 */
    {SHAPE_NONE, "0x1022"},
    {SHAPE_NONE, "a1b2c3d"}, /* short commits */
    {SHAPE_NONE, "9e4f0cba12ab"},
    {SHAPE_NONE, "deadbeefdeadbeef"}, /* no digit */
    {SHAPE_NONE, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},

    {SHAPE_BASE62_ID, "V1StGXR8_Z5jdHi6B-myT"},       /* nanoid */
    {SHAPE_BASE62_ID, "01ARZ3NDEKTSV4RRFFQ69G5FAV"},  /* ULID */
    {SHAPE_BASE62_ID, "0ujtsYcgvSTl8PAuAdqWYSMnLOv"}, /* KSUID */
    {SHAPE_BASE62_ID, "cjld2cjxh0000qzrmn831i7rn"},   /* cuid */
    {SHAPE_BASE62_ID, "cus_Q3kZp9XvTq7LmB"},
    {SHAPE_BASE62_ID, "hYkT0tT7Qm2xg1CzX9rPpw=="},
    {SHAPE_NONE, "QFy9W7-Brj3-hQ6v-AF8i-3Zqg-n3Vs-kGY4vb"}, /* a volume of LVM */
    {SHAPE_NONE, "V1StGXR8_Z5jdH"},                         /* 14 */
    {SHAPE_NONE, "coredns-5d78c9869d-abcde"},
    {SHAPE_NONE, "kube-proxy-x7k2z"},
    {SHAPE_NONE, "prometheusoperator-5d78c9869d-kxbqz"},
    {SHAPE_NONE, "nginx-ingress-controller-7d4f5b6c8b-xkcd2"},
    {SHAPE_NONE, "my-service-5d78c9869d-x2x4z"},
    {SHAPE_NONE, "backup-database-28376420-7hk5p"},
    {SHAPE_NONE, "alertmanager-main-0"},
    {SHAPE_NONE, "gke-cluster-1-default-pool-5d78c986-k2xz"},
    {SHAPE_NONE, "aks-nodepool1-12345678-vmss000001"},
    {SHAPE_NONE, "i-0abcd1234ef567890"},
    {SHAPE_NONE, "i-1a2b3c4d"},
    {SHAPE_NONE, "vol-049df61146c4d7901"},
    {SHAPE_NONE, "subnet-049df61146c4d7901"},
    {SHAPE_NONE, "GetUserByIdV2Request"},
    {SHAPE_NONE, "HTTPServerConnectionHandlerV3"},
    {SHAPE_NONE, "accesssharelock"},
    {SHAPE_NONE, "NotEnoughMemoryException"},
    {SHAPE_NONE, "kube_pod_container_status_ready2"},
    {SHAPE_NONE, "platform_asus_nb_wmi_asus_wmi_sensors"},
    {SHAPE_NONE, "ieee80211_phy0_mt7996_phy0_0"},
    {SHAPE_NONE, "windows2019datacenter"},
    {SHAPE_NONE, "INTEL_SSDS9X9SI0"},
    {SHAPE_NONE, "dmaengine-unmap-128"},
    {SHAPE_NONE, "us-east-1-production-cluster-2"},

    {SHAPE_LONG_DIGITS, "12345678"},
    {SHAPE_LONG_DIGITS, "123456789012"},
    {SHAPE_LONG_DIGITS, "-1234567890123456789"},
    {SHAPE_LONG_DIGITS, "+4917012345678"},
    {SHAPE_LONG_DIGITS, "99999999999999999999999999999999999999999999"},
    {SHAPE_LONG_DIGITS, "20261301"}, /* no day */
    {SHAPE_NONE, "20260131"},
    {SHAPE_NONE, "8080"},
    {SHAPE_NONE, "1048576"},
    {SHAPE_NONE, "-1"},
    {SHAPE_NONE, "+Inf"},
    {SHAPE_NONE, "1e+09"},
    {SHAPE_NONE, "0.005"},
    {SHAPE_NONE, "1073741824.5"},

    {SHAPE_EMAIL, "jane.doe+tag@example.com"},
    {SHAPE_EMAIL, "a@b.co"},
    {SHAPE_EMAIL, "o'neil@mail.example.org"},
    {SHAPE_NONE, "jane@localhost"},
    {SHAPE_NONE, "@example.com"},
    {SHAPE_NONE, "jane@example."},
    {SHAPE_NONE, "jane@.example.com"},
    {SHAPE_NONE, "jane@exam_ple.com"},
    {SHAPE_NONE, "jane doe@example.com"},
    {SHAPE_NONE, "a@b@example.com"},
    {SHAPE_NONE, "lodash@4.17.21"},
    {SHAPE_NONE, "getty@tty1.service"},
    {SHAPE_NONE, "user@1000.service"},
    {SHAPE_NONE, "git@github.com:org/repo.git"},

    {SHAPE_IPV4, "10.0.0.1"},
    {SHAPE_IPV4, "255.255.255.255"},
    {SHAPE_IPV4, "192.168.49.32:9100"},
    {SHAPE_NONE, "10.0.0.0/8"},
    {SHAPE_NONE, "256.0.0.1"},
    {SHAPE_NONE, "10.0.0.01"},
    {SHAPE_NONE, "1.2.3"},
    {SHAPE_NONE, "10.0.17763.1"},
    {SHAPE_NONE, "115.0.5790.102"},
    {SHAPE_NONE, "10.0.0.1:65536"},
    {SHAPE_NONE, "10.0.0.1:http"},
    {SHAPE_NONE, "ip-10-0-0-1.ec2.internal"},
    {SHAPE_NONE, "node1:9100"},
    {SHAPE_NONE, "localhost:9090"},

    {SHAPE_IPV6, "::1"},
    {SHAPE_IPV6, "2001:db8::ff00:42:8329"},
    {SHAPE_IPV6, "2001:0db8:0000:0000:0000:ff00:0042:8329"},
    {SHAPE_IPV6, "fe80::1%eth0"},
    {SHAPE_IPV6, "[2001:db8::1]:9100"},
    {SHAPE_IPV6, "[2001:db8::1]"},
    {SHAPE_IPV6, "::ffff:10.0.0.1"},
    {SHAPE_IPV6, "1:2:3:4:5:6:10.0.0.1"},
    {SHAPE_NONE, "2001:db8::/32"},
    {SHAPE_NONE, "2001::db8::1"},
    {SHAPE_NONE, "1:2:3:4:5:6:7"},
    {SHAPE_NONE, "1:2:3:4:5:6:7:8:9"},
    {SHAPE_NONE, "12345::1"},
    {SHAPE_NONE, "1:2:3:4:5:6:7:"},
    {SHAPE_NONE, "[::1]:port"},
    {SHAPE_NONE, "[::1"},
    {SHAPE_NONE, "02:fc:00:00:00:01"},
    {SHAPE_NONE, "00:11:22:33:44:55:66:77"},
    {SHAPE_NONE, "0000:00:06.0"},
    {SHAPE_NONE, "pci-0000:00:1f.2-ata-1"},

    {SHAPE_UNIX_TIME, "1795377918"},
    {SHAPE_UNIX_TIME, "1795377918027"},
    {SHAPE_UNIX_TIME, "1795377918027000"},
    {SHAPE_UNIX_TIME, "1795377918027000000"},
    {SHAPE_UNIX_TIME, "1795377918.027"},
    {SHAPE_LONG_DIGITS, "1073741824"}, /* 1 GiB, 2004 */
    {SHAPE_LONG_DIGITS, "17953779180"},
    {SHAPE_NONE, "1795377918."},

    {SHAPE_ISO_TIME, "2026-01-31T10:00:00Z"},
    {SHAPE_ISO_TIME, "2026-01-31T10:00"},
    {SHAPE_ISO_TIME, "2026-01-31 10:00:00.123456"},
    {SHAPE_ISO_TIME, "2026-01-31T10:00:00.123+01:00"},
    {SHAPE_ISO_TIME, "2026-01-31T10:00:00-0330"},
    {SHAPE_ISO_TIME, "2026-01-31 10:00:00 UTC"},
    {SHAPE_ISO_TIME, "20260131T100000Z"},
    {SHAPE_ISO_TIME, "20260131100000"},
    {SHAPE_NONE, "2026-01-31"},
    {SHAPE_NONE, "2026-13-31T10:00:00Z"},
    {SHAPE_NONE, "2026-01-31T25:00:00Z"},
    {SHAPE_NONE, "2026-01-31T10:00:00."},
    {SHAPE_NONE, "04/12/2021"},
    {SHAPE_NONE, "10:00:00"},

    {SHAPE_JWT, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"},
    {SHAPE_JWT, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
    {SHAPE_NONE, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0"},
    {SHAPE_NONE, "eyJ.eyJ.x"},

    {SHAPE_PATH_ID, "/api/v1/users/12345"},
    {SHAPE_PATH_ID, "/users/42/orders"},
    {SHAPE_PATH_ID, "GET /users/42"},
    {SHAPE_PATH_ID, "https://example.com/orders/83340ca8-cb49-4474-8c29-d2088ca84dd9?x"},
    {SHAPE_PATH_ID, "/search?q=shoes&page=2"},
    {SHAPE_PATH_ID, "https://shop.example.com/?utm=mail"},
    {SHAPE_PATH_ID, "/invite/jane@example.com"},
    {SHAPE_PATH_ID, "/s/V1StGXR8_Z5jdHi6B-myT"},
    {SHAPE_PATH_ID, "/docker/4bf92f3577b34da6a3ce929d0e0e47364bf92f3577b34da6a3ce929d0e0e4736"},
    {SHAPE_PATH_ID, "/kubepods/burstable/pod83340ca8-cb49-4474-8c29-d2088ca84dd9"},
    {SHAPE_PATH_ID, "/system.slice/docker-4bf92f3577b34da6a3ce929d0e0e4736.scope"},
    {SHAPE_PATH_ID, "containerd://4bf92f3577b34da6a3ce929d0e0e4736"},
    {SHAPE_PATH_ID, "kubepods/besteffort/pod83340ca8-cb49-4474-8c29-d2088ca84dd9/x"},
    {SHAPE_NONE, "/api/v1/users/:id"},
    {SHAPE_NONE, "/api/v1/users/{id}/orders/{order_id}"},
    {SHAPE_NONE, "/api/v2/users/<int:id>"},
    {SHAPE_NONE, "/users?id={id}"},
    {SHAPE_NONE, "/users?id="},
    {SHAPE_NONE, "/users?verbose"},
    {SHAPE_NONE, "/users/*"},
    {SHAPE_NONE, "/api/2/issue"},
    {SHAPE_NONE, "/api/v1/query_range"},
    {SHAPE_NONE, "GET /metrics"},
    {SHAPE_NONE, "http://10.2.3.4:8080/metrics"},
    {SHAPE_NONE, "http://node-12345678:9100/metrics"},
    {SHAPE_NONE, "/system.slice/docker.service"},
    {SHAPE_NONE, "/user.slice/user-1000.slice/session-3.scope"},
    {SHAPE_NONE, "/var/lib/docker"},
    {SHAPE_NONE, "/dev/nvme0n1p1"},
    {SHAPE_NONE, "/"},
    {SHAPE_NONE, "text/html"},
    {SHAPE_NONE, "8080/tcp"},
    {SHAPE_NONE, "1/0/24"},
    {SHAPE_NONE, "GigabitEthernet1/0/24"},
    {SHAPE_NONE, "https://4bf92f3577b34da6a3ce929d0e0e4736.cloudfront.net/index.html"},
    {SHAPE_NONE, "192.168.1.1:/srv/test"},
    {SHAPE_NONE, "registry.k8s.io/coredns/coredns:v1.10.1"},
    {SHAPE_NONE, "quay.io/org/image:20230101"},
    {SHAPE_NONE, "registry.k8s.io/pause@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4"},
    {SHAPE_NONE, "ghcr.io/org/app:9e4f0cba12ab9e4f0cba12ab9e4f0cba12ab9e4f"},
    {SHAPE_NONE, "arn:aws:iam::123456789012:user/jane"},
    {SHAPE_NONE, "VictoriaMetrics/lib/httpserver/httpserver.go:93"},

    {SHAPE_NONE, ""},
    {SHAPE_NONE, "GET"},
    {SHAPE_NONE, "200"},
    {SHAPE_NONE, "eth0"},
    {SHAPE_NONE, "v1.27.3-gke.1700"},
    {SHAPE_NONE, "1.2.3-rc.1+build.20230101"},
    {SHAPE_NONE, "6.18.44-fc-v595"},
    {SHAPE_NONE, "go1.19.8"},
    {SHAPE_NONE, "v0.12-345-gabcdef0"},
    {SHAPE_NONE, "Debian GNU/Linux 12 (bookworm)"},
    {SHAPE_NONE, "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz"},
    {SHAPE_NONE, "1.000e-02...1.136e-02"},
    {SHAPE_NONE, "D\xc3\xbcsseldorf"},
};

/* In a block of exactly its size, so that a sanitizer sees a look beyond it. */
static enum value_shape shape_of_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, data, size);
    enum value_shape shape = shape_of(slice_of(copy, size));
    free(copy);
    return shape;
}

static void values_have_the_shape_that_people_see_in_them(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        enum value_shape shape = shape_of_copy(examples[i].value, strlen(examples[i].value));
        if (shape == examples[i].shape)
            continue;
        print_error("%s is %s, not %s\n", examples[i].value, shape_name(examples[i].shape),
                    shape_name(shape));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static double share_of_shape(const char *alphabet, size_t size, enum value_shape shape)
{
    enum { ROUNDS = 20000 };
    uint64_t random = 17 + size;
    int found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char value[64];
        for (size_t i = 0; i < size; i++)
            value[i] = alphabet[random_below(&random, (uint32_t)strlen(alphabet))];
        found += shape_of_copy(value, size) == shape;
    }
    return (double)found / ROUNDS;
}

#define DIGITS    "0123456789"
#define LOWERS    "abcdefghijklmnopqrstuvwxyz"
#define UPPERS    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define CROCKFORD "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/* A label is judged by nine tenths of its values. */
static void ids_by_lot_are_seen_in_more_than_nine_of_ten(void **state)
{
    (void)state;
    static const struct {
        const char *alphabet;
        size_t size;
        enum value_shape shape;
        double share;
    } lots[] = {
        {DIGITS "abcdef", 16, SHAPE_HEX_ID, 0.99},
        {DIGITS "abcdef", 32, SHAPE_HEX_ID, 0.99},
        {DIGITS LOWERS UPPERS, 16, SHAPE_BASE62_ID, 0.88},
        {DIGITS LOWERS UPPERS, 20, SHAPE_BASE62_ID, 0.93},
        {DIGITS LOWERS UPPERS "-_", 21, SHAPE_BASE62_ID, 0.93},
        {DIGITS LOWERS UPPERS "-_", 22, SHAPE_BASE62_ID, 0.93},
        {DIGITS LOWERS UPPERS, 27, SHAPE_BASE62_ID, 0.97},
        {DIGITS LOWERS, 25, SHAPE_BASE62_ID, 0.93},
        {CROCKFORD, 26, SHAPE_BASE62_ID, 0.97},
    };
    for (size_t i = 0; i < sizeof lots / sizeof lots[0]; i++) {
        double share = share_of_shape(lots[i].alphabet, lots[i].size, lots[i].shape);
        if (share < lots[i].share)
            test_fail("%zu of %s: %.3f", lots[i].size, lots[i].alphabet, share);
    }
}

/* Names as Kubernetes makes them, of each length and with each hash. */
static void names_of_pods_are_no_ids(void **state)
{
    (void)state;
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    static const char *const names[] = {
        "web",    "coredns",        "checkout-service", "kube-state-metrics", "prometheus-operator",
        "api-v2", "frontend-canary"};
    uint64_t random = 5;
    for (int round = 0; round < 20000; round++) {
        char value[64];
        int size = snprintf(value, sizeof value, "%s-", names[round % 7]);
        uint32_t hash = 8 + random_below(&random, 3);
        for (uint32_t i = 0; i < hash + 6; i++)
            value[size++] = i == hash ? '-' : alphabet[random_below(&random, 27)];
        if (shape_of_copy(value, (size_t)size) != SHAPE_NONE)
            test_fail("%.*s", size, value);
    }
}

static void any_bytes_have_a_shape_or_none(void **state)
{
    (void)state;
    static const char bytes[] = "0123456789abcdefT:-./?=@[]%{}GET eyJxZ+_\xc3\xbc\0";
    uint64_t random = 3;
    for (int round = 0; round < 200000; round++) {
        char value[48];
        size_t size = random_below(&random, sizeof value);
        for (size_t i = 0; i < size; i++)
            value[i] = bytes[random_below(&random, sizeof bytes)];
        assert_true(shape_of_copy(value, size) < SHAPE_COUNT);
    }
}

static void each_shape_has_names_of_its_own(void **state)
{
    (void)state;
    for (enum value_shape a = 0; a < SHAPE_COUNT; a++) {
        assert_non_null(shape_plural(a));
        for (enum value_shape b = 0; b < a; b++)
            assert_string_not_equal(shape_name(a), shape_name(b));
    }
    assert_string_equal(shape_name(SHAPE_NONE), "none");
    assert_string_equal(shape_name(SHAPE_UUID), "uuid");
    assert_string_equal(shape_name(SHAPE_PATH_ID), "path_id");
}

static void a_mask_shows_the_form_alone(void **state)
{
    (void)state;
    static const char value[] = "Jane.D0e@ex\xc3\xa4.com";
    uint8_t mask[sizeof value] = {0};
    shape_mask(slice_from_text(value), mask);
    assert_string_equal((const char *)mask, "Aaaa.A9a@aaxx.aaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_the_shape_that_people_see_in_them),
        cmocka_unit_test(ids_by_lot_are_seen_in_more_than_nine_of_ten),
        cmocka_unit_test(names_of_pods_are_no_ids),
        cmocka_unit_test(any_bytes_have_a_shape_or_none),
        cmocka_unit_test(each_shape_has_names_of_its_own),
        cmocka_unit_test(a_mask_shows_the_form_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
