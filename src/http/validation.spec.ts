import { Body, Controller, createParamDecorator, Get, Param, Post, Query } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { IsInt, IsOptional, IsString, Length } from 'class-validator';
import { LatchkeyError } from '../errors.js';
import { useValidation } from './validation.js';

class Note {
  @IsString()
  text!: string;

  @IsOptional()
  @IsInt()
  stars?: number;
}

class Search {
  @Length(2, 10)
  words!: string;
}

const OF_EVERY_OBJECT = ['constructor', 'toString', 'hasOwnProperty'];

/** As `@CurrentUser()`: what a guard found, not what the caller sent. */
const caller = Object.freeze({ id: 'u1', text: 5 });
const Caller = createParamDecorator(() => caller);

class Notes {
  @Post()
  create(@Caller() by: Note, @Body() note: Note): object {
    return { sameCaller: (by as unknown) === caller, isNote: note instanceof Note };
  }

  @Get()
  find(@Query() search: Search): object {
    return { isSearch: search instanceof Search };
  }
}

@Controller('notes')
class NotesController extends Notes {
  @Get(':id')
  read(@Param('id', { transform: (id: number) => id + 1 }) id: number): object {
    return { id };
  }
}

async function boot(): Promise<NestFastifyApplication> {
  const module = await Test.createTestingModule({
    imports: [DiscoveryModule],
    controllers: [NotesController],
  }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  useValidation(app);
  app.useGlobalFilters({
    catch: (error: unknown, host) =>
      void host
        .switchToHttp()
        .getResponse<{ code: (status: number) => { send: (body: unknown) => void } }>()
        .code(error instanceof LatchkeyError ? 400 : 500)
        .send(error instanceof LatchkeyError ? error.details.fields : String(error)),
  });
  return app.init();
}

describe.each(['first', 'second'])('in the %s application of a process', () => {
  let app: NestFastifyApplication;
  beforeAll(async () => {
    app = await boot();
  });
  afterAll(() => app.close());

  it('makes a body into its class, and leaves what is not from the caller alone', async () => {
    const payload = { text: 'hello' };
    const answer = await app.inject({ method: 'POST', url: '/notes', payload });
    expect(answer.json()).toEqual({ sameCaller: true, isNote: true });
  });

  it.each([
    [{}, ['text']],
    [{ text: 7 }, ['text']],
    [{ text: 'hello', stars: 'many' }, ['stars']],
    [{ text: 'hello', admin: true }, ['admin']],
    [{ text: 'hello', constructor: 1, toString: 2, hasOwnProperty: 3 }, OF_EVERY_OBJECT],
  ])('refuses the body %j, once for each field', async (payload, fields) => {
    const answer = await app.inject({ method: 'POST', url: '/notes', payload });
    expect(answer.statusCode).toBe(400);
    expect(Object.keys(answer.json<object>())).toEqual(fields);
  });

  it('reads a query as its class too', async () => {
    expect((await app.inject('/notes?words=bread')).json()).toEqual({ isSearch: true });
    expect((await app.inject('/notes?words=b')).statusCode).toBe(400);
  });

  it("runs a parameter's own pipe after it", async () => {
    expect((await app.inject('/notes/7')).json()).toEqual({ id: 8 });
  });
});
