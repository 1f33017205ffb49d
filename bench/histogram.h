/* A log-linear histogram of microseconds: exact below 256, right to one percent above. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB 256u
#define HISTOGRAM_HALF (HISTOGRAM_SUB / 2)
#define HISTOGRAM_BUCKETS (58u * HISTOGRAM_HALF + HISTOGRAM_SUB)

struct histogram {
    uint64_t count, max, buckets[HISTOGRAM_BUCKETS];
};

static void histogram_add(struct histogram *h, uint64_t us)
{
    unsigned shift = us < HISTOGRAM_SUB ? 0 : 56u - (unsigned)__builtin_clzll(us);
    h->buckets[shift * HISTOGRAM_HALF + (unsigned)(us >> shift)]++;
    h->count++;
    if (us > h->max)
        h->max = us;
}

/* The value that a share of all, 0.99 for p99, does not exceed; 0 of nothing. */
static uint64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;
    for (unsigned index = 0; index < HISTOGRAM_BUCKETS; index++) {
        seen += h->buckets[index];
        if (seen > wanted || seen == h->count) {
            unsigned shift = index < HISTOGRAM_SUB ? 0 : index / HISTOGRAM_HALF - 1;
            uint64_t value = (uint64_t)(index - shift * HISTOGRAM_HALF) << shift;
            return value < h->max ? value : h->max;
        }
    }
    return h->max;
}

#endif
