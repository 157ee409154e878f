// Loaded into a server before it starts: SIGUSR2 makes it throw, or forget a promise, by FAULT.
process.on('SIGUSR2', () => {
  const fault = new Error('a fault that nobody catches');
  if (process.env.FAULT === 'unhandledRejection') void Promise.reject(fault);
  else throw fault;
});
