/* table - every command with its help and options. */
#include "commands/options.h"

static const struct option config_options[] = {
    {.name = "json", .help = "as JSON"},
    {.name = "check", .argument = "FILE", .help = "only check that file"},
    OPTION_DATA,
    {.name = "listen", .argument = "ADDRESS:PORT", .help = "server.listen"},
    OPTION_END,
};

static const struct option export_options[] = {
    {.name = "match", .argument = "SELECTOR", .help = "series to export; repeatable: any of them"},
    {.name = "start", .argument = "TIME", .help = "from then on"},
    {.name = "end", .argument = "TIME", .help = "up to then, not included"},
    {.name = "limit", .argument = "N", .help = "at most so many series"},
    {.name = "format",
     .argument = "FORMAT",
     .help = "ndjson, csv or openmetrics; default: by the name of FILE, else ndjson"},
    {.name = "output",
     .argument = "FILE",
     .letter = 'o',
     .help = "a file; .gz and .zst are compressed"},
    OPTION_URL,
    OPTION_DATA,
    OPTION_END,
};

static const struct option help_options[] = {OPTION_END};

static const struct option import_options[] = {
    {.name = "format",
     .argument = "FORMAT",
     .help = "ndjson, json, csv, text, openmetrics or recording; default: by name and content"},
    {.name = "precision",
     .argument = "UNIT",
     .help = "of whole timestamps in JSON and CSV: s, ms, us or ns"},
    {.name = "columns",
     .argument = "MAP",
     .help = "what the columns of CSV hold: time:time,temp:metric:room_celsius,room:label"},
    {.name = "no-header", .help = "the first line of CSV is data; --columns counts from 1"},
    {.name = "job", .argument = "NAME", .help = "label `job` of a recording (default: import)"},
    {.name = "retry",
     .argument = "TIME",
     .help = "go on trying so long while the server or disk is busy (default: 1m)"},
    {.name = "restart", .help = "import from the beginning what an earlier run began"},
    {.name = "state",
     .argument = "DIR",
     .help = "where it is kept how far files are (default: ~/.local/state/metric-store/import)"},
    OPTION_URL,
    OPTION_DATA,
    OPTION_JSON,
    OPTION_END,
};

static const struct option inspect_options[] = {
    {.name = "blocks", .help = "each block, entry or record too"},
    OPTION_JSON,
    OPTION_END,
};

static const struct option query_options[] = {
    {.name = "metric", .argument = "NAME", .help = "series of that metric"},
    {.name = "match", .argument = "SELECTOR", .help = "series of that selector"},
    {.name = "label", .argument = "CONDITION", .help = "method=GET, !=, =~ or !~; repeatable"},
    {.name = "start", .argument = "TIME", .help = "default: now-1h"},
    {.name = "end", .argument = "TIME", .help = "not included; the default includes now"},
    {.name = "aggregate",
     .argument = "NAME",
     .help = "sum, avg, min, max, count, first, last, stddev, rate, increase, p95, quantile:0.9"},
    {.name = "interval", .argument = "TIME", .help = "length of a bucket: 1m"},
    {.name = "by", .argument = "LABELS", .help = "one result for each of region,job"},
    {.name = "fill",
     .argument = "WHAT",
     .help = "buckets without a value: none (default), null or previous"},
    {.name = "tz",
     .argument = "ZONE",
     .help = "buckets of an hour and more by local time: Europe/Berlin"},
    {.name = "over", .argument = "WHAT", .help = "samples (default) or series"},
    {.name = "limit", .argument = "N", .help = "at most so many series"},
    {.name = "after", .argument = "CURSOR", .help = "the next page of an answer"},
    {.name = "timeout", .argument = "TIME", .help = "give up after that"},
    OPTION_URL,
    OPTION_DATA,
    OPTION_JSON,
    {.name = "chart", .help = "the result as a chart of lines"},
    {.name = "follow", .help = "go on and print what arrives, until Ctrl-C"},
    {.name = "every", .argument = "TIME", .help = "how often --follow asks: 5s"},
    OPTION_END,
};

static const struct option serve_options[] = {
    {.name = "listen", .argument = "ADDRESS:PORT", .help = "server.listen"},
    {.name = "data", .argument = "DIR", .help = "storage.path"},
    OPTION_END,
};

static const struct option snapshot_options[] = {
    {.name = "copy", .help = "copy the files of a stopped store: for another file system"},
    OPTION_URL,
    OPTION_DATA,
    OPTION_JSON,
    OPTION_END,
};

static const struct option verify_options[] = {
    {.name = "repair", .help = "make what is damaged anew from what is whole"},
    OPTION_DATA,
    OPTION_JSON,
    OPTION_END,
};
static const struct option version_options[] = {OPTION_JSON, OPTION_END};

const struct command command_table[] = {
    {
        .name = "serve",
        .run = command_serve,
        .help = "the service",
        .usage = "[OPTION...]",
        .long_help =
            "Serves until SIGTERM or SIGINT, which let running requests end and flush what is in\n"
            "memory. SIGHUP loads the configuration again; what needs a restart is named in the "
            "log.\n",
        .options = serve_options,
    },
    {
        .name = "import",
        .run = command_import,
        .help = "read samples from files into a server or a stopped store",
        .usage = "[OPTION...] FILE...",
        .long_help =
            "Reads NDJSON, JSON, CSV, Prometheus text, OpenMetrics and recorded scrapes (#SCRAPE\n"
            "lines), plain, .gz or .zst; `-` is standard input. Lines that cannot be taken are\n"
            "refused one by one, and the summary counts them by reason (exit code 3).\n\n"
            "The header of CSV names the columns: name, value, timestamp and labels (a JSON "
            "object),\n"
            "every other one is a label. Otherwise --columns says what they hold, for example\n"
            "  metric-store import --columns time:time,temp:metric:room_celsius,room:label "
            "a.csv\n\n"
            "An import that was interrupted, or failed, goes on where it was when the same "
            "command\n"
            "is given again; a file or store that has changed since then is begun anew.\n\n"
            "Into a running server (--url), whose limits hold; or into a store that no server has\n"
            "open (--data), where the limits are those of the configuration: for example\n"
            "  metric-store import --data DIR --set cardinality.max_labels_per_metric=40 FILE\n",
        .options = import_options,
        .max_arguments = 10000,
    },
    {
        .name = "export",
        .run = command_export,
        .help = "write samples to a file, by selector and time",
        .usage = "[OPTION...]",
        .long_help =
            "Writes every sample of the series that match, as NDJSON that `import --precision ms`\n"
            "reads back bit for bit, as CSV that `import` reads back bit for bit, or as "
            "OpenMetrics. A\n"
            "file gets its name when it is complete. TIME is RFC 3339, now, now-6h, or Unix "
            "seconds "
            "or\n"
            "milliseconds. parquet is not available in this version.\n",
        .options = export_options,
    },
    {
        .name = "query",
        .run = command_query,
        .help = "ask a server or a stopped store; a table, a chart or JSON",
        .usage = "[OPTION...] [SELECTOR]",
        .long_help =
            "As GET /api/v1/metrics/query; for example\n"
            "  metric-store query --aggregate rate --interval 5m --by region "
            "'http_requests_total'\n"
            "TIME is RFC 3339, now, now-6h, or Unix seconds or milliseconds.\n"
            "Where damaged blocks had to be left out of the answer the exit code is 4.\n\n"
            "--chart draws up to 8 series as wide as the terminal (80 by 20 where there\n"
            "is none), in colours unless NO_COLOR is set. Lines break where buckets are\n"
            "missing, and where samples are over five times as far apart as usual.\n\n"
            "--follow prints new samples of a server's, one a line, each once, those that\n"
            "are five minutes old at most when they arrive; with --json as\n"
            "`import --precision ms` reads them. --start adds those since then.\n"
            "With --aggregate and --interval it prints each bucket when it is over. It\n"
            "asks every second, or as often as a bucket ends and at least once a minute,\n"
            "and goes on asking while the server is away. Ctrl-C ends it in good order\n"
            "(exit code 0).\n",
        .options = query_options,
        .max_arguments = 1,
    },
    {
        .name = "verify",
        .run = command_verify,
        .help = "read every byte of a stopped store, check all of it, repair it",
        .usage = "[OPTION...]",
        .long_help =
            "Checks every checksum and every cross-reference, and lists what is damaged (exit "
            "code\n"
            "4). Files that nothing names are left over from work that was cut short: they are\n"
            "listed, are no damage, and go at the next start. Nothing is changed.\n\n"
            "With --repair each damaged file is made anew from what can be read of it, and what\n"
            "is lost is listed by series and time (exit code 3). Damaged files stay in "
            "DATA/quarantine.\n"
            "A repair that was interrupted is run again. Make a copy of the store before, if you "
            "can.\n",
        .options = verify_options,
    },
    {
        .name = "snapshot",
        .run = command_snapshot,
        .help = "a consistent copy of a store, at once and without its space",
        .usage = "[OPTION...] [NAME | --data DIR NEW]",
        .long_help =
            "Of a running server (--url): makes DATA/snapshots/NAME with everything acknowledged "
            "so\n"
            "far, while writes go on. Without NAME it is called by the time. Of a store that no\n"
            "server has open (--data DIR): makes the directory NEW.\n\n"
            "A snapshot is a store: query, export, verify and serve work on it, and to restore is "
            "to\n"
            "copy it. It shares the bytes of its files with the store (hard links), so it takes\n"
            "next to no room at first; a backup against a broken disk is a copy of it elsewhere.\n",
        .options = snapshot_options,
        .max_arguments = 1,
    },
    {
        .name = "inspect",
        .run = command_inspect,
        .help = "what a log segment, part, index or series segment, or manifest holds",
        .usage = "[OPTION...] FILE",
        .long_help =
            "Shows one file of a store, recognised by its content (exit code 4 when it is\n"
            "damaged). Nothing is changed.\n",
        .options = inspect_options,
        .max_arguments = 1,
    },
    {
        .name = "config",
        .run = command_config,
        .help = "the effective configuration with the origin of each value",
        .usage = "[OPTION...]",
        .long_help =
            "Prints every setting as a YAML file that loads to the same values. What wins:\n"
            "--set and flags, then METRIC_STORE_SECTION__KEY in the environment, then the\n"
            "file, then the preset, then the default.\n",
        .options = config_options,
    },
    {
        .name = "version",
        .run = command_version,
        .help = "the program's version",
        .usage = "[--json]",
        .long_help = "Prints the version.\n",
        .options = version_options,
    },
    {
        .name = "help",
        .run = command_help,
        .help = "this list, or what one command takes",
        .usage = "[COMMAND]",
        .long_help = "Lists the commands, or says what one of them takes.\n",
        .options = help_options,
        .max_arguments = 1,
    },
    {.name = NULL},
};
