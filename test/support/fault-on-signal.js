// Loaded into a server before it starts: SIGUSR2 makes it throw, forget a promise, or be unable to
// end what it does from time to time, by FAULT.
process.on('SIGUSR2', () => {
  const fault = new Error('a fault that nobody catches');
  const raise = () => {
    throw fault;
  };
  if (process.env.FAULT === 'unhandledRejection') void Promise.reject(fault);
  else if (process.env.FAULT === 'clearInterval') globalThis.clearInterval = raise;
  else raise();
});
