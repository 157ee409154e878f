// Loaded into a server before it starts: the machine's clock is CLOCK_AHEAD milliseconds ahead, or
// behind when negative. What measures ages goes on as it does.
const ahead = Number(process.env.CLOCK_AHEAD);
const now = Date.now;
Date.now = () => now() + ahead;
